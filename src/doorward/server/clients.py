"""client_id → Client: every way in which a client can be known, in one place."""

from doorward.core.models import Client
from doorward.storage.clients import find_client

from .context import Context
from .tenancy import ProjectView

MAX_CLIENT_ID_LENGTH = 2048


async def resolve_client(context: Context, view: ProjectView, client_id: str) -> Client | None:
    """The client of this project with this id, or None. Expired ones are as good as unknown."""
    if len(client_id) > MAX_CLIENT_ID_LENGTH:
        return None
    client = await context.database.read(find_client, view.project.project_id, client_id)
    if client is not None and client.expires_at is not None and client.expires_at <= context.clock():
        return None
    return client
