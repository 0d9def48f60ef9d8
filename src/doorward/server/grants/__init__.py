"""The grant types, one file each, and the registry the token pipeline looks them up in.

A grant parses its own parameters, spends what it was given, and returns an `Authorization`; it never makes a token,
never raises once it has written, and knows nothing of HTTP. Adding one is one file and one line here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from doorward.asgi import Request
from doorward.core.models import Authorization, Client, Refused
from doorward.oauth.forms import Form
from doorward.server.context import Context
from doorward.server.tenancy import ProjectView
from doorward.storage.database import Transaction

from . import authorization_code, client_credentials, device_code, jwt_bearer, refresh_token, token_exchange
from .call import Call, TokenCall


class GrantType(Protocol):
    """What a grant file offers; the modules themselves are the values."""

    GRANT_TYPE: str

    def parse(self, form: Form) -> Any:
        """The grant's own parameters. Raises `OAuthError`; nothing was looked up yet."""

    async def authorize(self, tx: Transaction, call: TokenCall, request: Any) -> Authorization | Refused:
        """Decide and record, in the pipeline's transaction."""


class AssertedGrantType(Protocol):
    """A grant in which an issuer speaks for the caller: beside a client that proves itself, or alone."""

    GRANT_TYPE: str

    async def identify(
        self, context: Context, view: ProjectView, request: Request, form: Form
    ) -> tuple[Client | None, Any]:
        """(the client, the grant's own parameters); no client where the caller is none. Raises `OAuthError`."""

    async def authorize(self, tx: Transaction, call: Call, request: Any) -> Authorization | Refused:
        """Decide and record, in the pipeline's transaction."""


Resolve = Callable[[Context, TokenCall, Any], Awaitable[Any]]

GRANTS: Mapping[str, GrantType] = {
    grant.GRANT_TYPE: grant
    for grant in (authorization_code, refresh_token, client_credentials, device_code, token_exchange)
}
RESOLVERS: Mapping[str, Resolve] = {token_exchange.GRANT_TYPE: token_exchange.resolve}
"""What has to be looked at before the transaction, such as signatures: the parameters, with what was found."""
ASSERTED_GRANTS: Mapping[str, AssertedGrantType] = {jwt_bearer.GRANT_TYPE: jwt_bearer}
"""Those that say themselves who calls; in every other the caller is the client that authenticated."""
