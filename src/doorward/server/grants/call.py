"""What the token pipeline tells a grant."""

from dataclasses import dataclass

from doorward.core.models import Client
from doorward.core.secrets import RefreshTokens
from doorward.server.tenancy import ProjectView


@dataclass(frozen=True, slots=True)
class TokenCall:
    """One token request after the checks that all grants share. `now` is epoch milliseconds."""

    view: ProjectView
    client: Client
    refresh_tokens: RefreshTokens
    source: str
    agent: str
    now: int
