"""What a request is told that goes no further: which token to get, from where, and how to present it."""

from collections.abc import Iterable

from doorward.oauth.bearer import build_challenge, build_dpop_challenge
from doorward.oauth.dpop import PROOF_ALGORITHMS
from doorward.oauth.errors import OAuthError
from doorward.oauth.scopes import Scopes

from .asgi import Answer, Request, build_header, build_json, build_text
from .documents import ResourceDocuments
from .dpop import DpopMode

NO_STORE = build_header("cache-control", "no-store")
_SIGN_IN = "This MCP server needs a sign-in. Give its address to an MCP client: the client will find the way."


class Challenges:
    """Builds the refusals of one resource, each with one `WWW-Authenticate` field.

    Bearer always stands first in it: that is where every recorded client looks for the metadata. DPoP follows where
    it is required, and where the request itself came with it; elsewhere clients that know nothing of it are not
    troubled. The error is in the challenge of the scheme that was used.

    Spec: RFC 6750 §3; RFC 9449 §7.1; RFC 9728 §5.1 (WWW-01 … WWW-07, DPOP-06); clients.md no. 54
    """

    def __init__(self, documents: ResourceDocuments, *, scopes: Scopes, dpop: DpopMode) -> None:
        self._documents = documents
        self._scopes = scopes
        self._dpop_required = dpop == "required"

    def invite(self, request: Request) -> Answer:
        """The answer without a token: what to get, from where, and nothing that sounds like an error. Spec: WWW-04"""
        if "/.well-known/" in request.path:
            # A client looking for documents we do not have must go on looking, and not take this for a resource.
            return build_text(404, "There is no such document.")
        bearer = build_challenge(resource_metadata=self._documents.url_for(request.path), scope=self._scopes)
        return build_text(401, _SIGN_IN, build_header("www-authenticate", self._join(bearer)), NO_STORE)

    def refuse(
        self, request: Request, error: OAuthError, *, scheme: str = "bearer", scope: Iterable[str] | None = None
    ) -> Answer:
        """The answer to credentials that will not do; `scope` is what to ask for, unset the first challenge's.

        What is not the client's fault carries no challenge, so that it does not throw its token away.
        """
        headers = [build_header(name, value) for name, value in error.headers.items()]
        if error.status < 500:
            headers.insert(0, build_header("www-authenticate", self._challenge(request, error, scheme, scope)))
        return build_json(error.status, error.body(), *headers, NO_STORE)

    def _challenge(self, request: Request, error: OAuthError, scheme: str, scope: Iterable[str] | None) -> str:
        asked = tuple(self._scopes if scope is None else scope)
        metadata = self._documents.url_for(request.path)
        if scheme != "dpop":
            return self._join(
                build_challenge(
                    error=error.code, description=error.description, resource_metadata=metadata, scope=asked
                )
            )
        bearer = build_challenge(resource_metadata=metadata, scope=asked)
        bound = build_dpop_challenge(
            algs=PROOF_ALGORITHMS,
            error=error.code,
            description=error.description,
            resource_metadata=metadata,
            scope=asked,
        )
        return f"{bearer}, {bound}"

    def _join(self, bearer: str) -> str:
        return f"{bearer}, {build_dpop_challenge(algs=PROOF_ALGORITHMS)}" if self._dpop_required else bearer
