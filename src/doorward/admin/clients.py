"""Clients: the applications that ask for tokens, and which of them are let in."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import Field

from doorward.core.models import Client, ClientKind, ClientStatus
from doorward.manage import admission, clients, documents
from doorward.manage.operator import ActionRefused, Operator

from .paging import cut, parse_time_cursor
from .shapes import Answer, Body, Line, Name, Page, Paging, Patch, Secret, Time
from .table import Call, Operation

HOUR_MS = 3_600_000


class ClientAnswer(Answer):
    """A client, with the metadata that it has."""

    client_id: str
    kind: ClientKind
    status: ClientStatus
    confidential: bool
    created_at: Time
    last_used_at: Time | None
    redirect_uris: list[str] = []
    token_endpoint_auth_method: str
    grant_types: list[str] = []
    response_types: list[str] = []
    application_type: str = ""
    client_name: str = ""
    scope: str = ""
    contacts: list[str] = []
    jwks: dict[str, Any] = {}
    jwks_uri: str = ""
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    token_endpoint_auth_methods_supported: list[str] = []
    client_uri: str = ""
    logo_uri: str = ""
    tos_uri: str = ""
    policy_uri: str = ""
    software_id: str = ""
    software_version: str = ""


class NewClientAnswer(ClientAnswer):
    """A client that was added, with the secret of one that has one."""

    client_secret: Secret = None


class SecretAnswer(Answer):
    """A new secret of a client."""

    client_id: str
    client_secret: Secret
    client_secret_expires_at: Time | None


class Change(Answer):
    """A member of a client's metadata, before and after."""

    before: Any
    after: Any


class QueuedAnswer(Answer):
    """A client that waits for approval, with what is new about it."""

    client_id: str
    client_name: str | None
    kind: ClientKind
    waits_as: str = Field(description="new, or changed.")
    created_at: Time
    changes: dict[str, Change]


class FamilyAnswer(Answer):
    """The same software, however it came to be known."""

    name: str
    redirects: list[str]
    kinds: list[ClientKind]
    clients: list[str]
    connections: int


class Queue(Answer):
    """What waits for approval, oldest first."""

    items: list[QueuedAnswer]


class Families(Answer):
    """Clients by the software that they are, most connected first."""

    items: list[FamilyAnswer]


class ClientPage(Page[ClientAnswer]):
    """Clients, newest first."""


class ClientBody(Body):
    """A client to add: by what it is, by a known template, or by the URL of its metadata document and nothing else."""

    redirect_uris: Annotated[list[Line], Field(max_length=10)] = []
    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    confidential: bool = False
    scope: Line = ""
    grants: Annotated[list[Name], Field(max_length=10)] = []
    jwks: Annotated[dict[str, Any] | None, Field(description="Its public keys, in place of a secret.")] = None
    jwks_uri: Line = ""
    template: Annotated[Name, Field(description="A known client, such as claude or vscode.")] = ""
    document: Line = ""


class ClientPatch(Patch):
    """What of a client is to change."""

    scope: Annotated[Line, Field(description="The most it may ask for; empty for no bound.")] = ""


class RotationBody(Body):
    """How a secret is replaced."""

    overlap_hours: Annotated[int, Field(ge=0, le=24, description="How long the old one works as well.")] = 24


def _answer(client: Client) -> ClientAnswer:
    return ClientAnswer(**clients.describe(client))


async def _find(call: Call) -> Client:
    return await clients.get(call.operator, call.project, call.named["client_id"])


async def list_clients(call: Call, paging: Paging) -> ClientPage:
    after = parse_time_cursor(paging.cursor)
    found = await clients.list_page(call.operator, call.project, at_most=paging.limit + 1, after=after)
    items, cursor = cut(found, paging, lambda client: (client.created_at, client.client_id))
    return ClientPage(items=[_answer(client) for client in items], next_cursor=cursor)


async def add_client(call: Call, body: ClientBody) -> NewClientAnswer:
    if body.document:
        if body.model_fields_set != {"document"}:
            raise ActionRefused("A client that is known by a document is described by it.", about="document")
        source = call.context.documents.fetcher
        size = call.context.settings.cimd.max_bytes
        added = await documents.add_document(call.operator, call.project, body.document, source, max_bytes=size)
        return NewClientAnswer(**clients.describe(added))
    known_name, known_uris = clients.template(body.template) if body.template else ("", ())
    uris = (*body.redirect_uris, *known_uris)
    if not uris and not body.grants:
        raise ActionRefused("Give redirect_uris, a template, a document or grants.", about="redirect_uris")
    keys: dict[str, Any] = {"jwks": body.jwks} if body.jwks is not None else {}
    keys |= {"jwks_uri": body.jwks_uri} if body.jwks_uri else {}
    client, secret = await clients.add(
        call.operator,
        call.project,
        uris,
        name=body.name or known_name,
        confidential=body.confidential,
        scope=body.scope,
        grants=tuple(body.grants),
        keys=keys,
    )
    shown = {"client_secret": secret} if secret else {}
    return NewClientAnswer(**clients.describe(client), **shown)


async def show_client(call: Call) -> ClientAnswer:
    return _answer(await _find(call))


async def change_client(call: Call, body: ClientPatch) -> ClientAnswer:
    found = await _find(call)
    if not body.model_fields_set:
        return _answer(found)
    return _answer(await clients.change_scope(call.operator, found, body.scope))


async def remove_client(call: Call) -> None:
    await clients.remove(call.operator, await _find(call))


async def list_queue(call: Call) -> Queue:
    found = await admission.list_queue(call.operator, call.project)
    return Queue(items=[QueuedAnswer(**admission.describe_queued(queued)) for queued in found])


async def list_families(call: Call) -> Families:
    found = await admission.list_families(call.operator, call.project)
    return Families(items=[FamilyAnswer(**admission.describe_family(family)) for family in found])


async def rotate_secret(call: Call, body: RotationBody) -> SecretAnswer:
    client, overlap_ms = await _find(call), body.overlap_hours * HOUR_MS
    secret, expires_at = await clients.rotate_secret(call.operator, call.project, client, overlap_ms=overlap_ms)
    return SecretAnswer(client_id=client.client_id, client_secret=secret, client_secret_expires_at=expires_at)


async def reinstate_client(call: Call) -> None:
    await admission.reinstate(call.operator, call.project, call.named["client_id"])


def _act(action: Callable[[Operator, Client], Awaitable[None]]) -> Callable[[Call], Awaitable[None]]:
    async def act(call: Call) -> None:
        await action(call.operator, await _find(call))

    return act


_ONE = "/clients/{client_id}"
_ACTIONS = (
    ("approve", "Let a waiting client in, or take over its changed document", _act(admission.approve)),
    ("deny", "Keep a waiting client out", _act(admission.deny)),
    ("suspend", "Keep a client out; its tokens stop working at once", _act(admission.suspend)),
    ("reactivate", "Let a suspended client back in", _act(admission.reactivate)),
    ("revoke", "End every grant of a client; people may let it in again", _act(admission.revoke_everything)),
    ("reinstate", "Forget that a client was removed or denied, so that it may come back", reinstate_client),
)
OPERATIONS = (
    Operation(
        "GET",
        "/clients",
        "listClients",
        "The clients of this project",
        "clients",
        list_clients,
        ClientPage,
        query=Paging,
    ),
    Operation(
        "POST",
        "/clients",
        "addClient",
        "Add a client",
        "clients",
        add_client,
        NewClientAnswer,
        ClientBody,
        once=True,
    ),
    Operation("GET", _ONE, "showClient", "One client", "clients", show_client, ClientAnswer),
    Operation(
        "PATCH",
        _ONE,
        "changeClient",
        "Set what a client may ask for",
        "clients",
        change_client,
        ClientAnswer,
        ClientPatch,
    ),
    Operation("DELETE", _ONE, "removeClient", "Remove a client; every grant it holds ends", "clients", remove_client),
    Operation("GET", "/client-queue", "listQueue", "What waits for approval", "clients", list_queue, Queue),
    Operation(
        "GET", "/client-families", "listFamilies", "The same software as one", "clients", list_families, Families
    ),
    Operation(
        "POST",
        f"{_ONE}/rotate-secret",
        "rotateClientSecret",
        "Give a client a new secret",
        "clients",
        rotate_secret,
        SecretAnswer,
        RotationBody,
    ),
    *(
        Operation("POST", f"{_ONE}/{verb}", f"{verb}Client", summary, "clients", handler)
        for verb, summary, handler in _ACTIONS
    ),
)
