"""Reading an authorization request: what a client asks for, whether it came in a link or was pushed before.

Both ways go through the same functions, so that nothing is accepted by one that the other refuses (PAR-04).

Spec: OAuth 2.1 §4.1.1 (AUTHZ-02, AUTHZ-03, AUTHZ-11); RDU-02, RDU-07; RFC 9126 §2.1
"""

from doorward.core.models import AuthorizationRequest, Client, Resource
from doorward.core.policy import asked_alias, check_authorization_details, select_resource, select_scopes
from doorward.oauth.dpop import is_thumbprint
from doorward.oauth.errors import (
    INVALID_REQUEST,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_RESPONSE_TYPE,
    OAuthError,
    invalid_request,
)
from doorward.oauth.forms import Form
from doorward.oauth.pkce import parse_challenge
from doorward.oauth.prompt import SignInDemand, parse_demand
from doorward.oauth.redirects import find_registered

from .page_error import START_AGAIN, PageError
from .tenancy import ProjectView

MAX_REQUEST_LENGTH = 16_384
"""Of a request, percent-encoded: a state of 4 KiB is three times as long then."""
MAX_STATE_LENGTH = 4096
PARAMETERS = (
    *("response_type", "response_mode", "redirect_uri", "state", "scope", "code_challenge", "code_challenge_method"),
    *("prompt", "max_age", "login_hint"),
)
"""What is read of a request here and by the pages, besides `client_id`, `resource` and the key of its tokens."""


class RedirectRefused(OAuthError):  # noqa: N818  # a state, told to a person or to the client
    """There is no place to answer to: a person is shown `page`; a client that pushed the request hears the error."""

    def __init__(self, page: PageError, description: str) -> None:
        super().__init__(INVALID_REQUEST, description)
        self.page = page


def find_redirect_uri(client: Client, form: Form) -> str:
    """The redirect URI to answer to, which is a registered one. Raises `RedirectRefused`.

    Spec: RDU-02, RDU-07; RFC 9126 §2.3, §2.4 (PAR-07, PAR-08)
    """
    registered = client.metadata.redirect_uris
    requested = form.get("redirect_uri")
    if "redirect_uri" in form.repeated:
        page = PageError("This link is malformed", "It names two places to return to.", START_AGAIN)
        raise RedirectRefused(page, "The redirect_uri is repeated.")
    if requested is None:
        if len(registered) == 1:
            return registered[0]
        page = PageError("This link is incomplete", "It does not say where to return to.", START_AGAIN)
        raise RedirectRefused(page, "The parameter redirect_uri is required.")
    if find_registered(registered, requested) is None:
        page = PageError(
            "This app asked to return to a place it is not registered for",
            f"It asked for {requested[:200]}. Registered: {', '.join(registered)[:600]}.",
            (
                "If you did not expect this, close the page: someone may be trying to misuse the app's name.",
                "Otherwise remove this server in the app and add it again.",
            ),
        )
        raise RedirectRefused(page, "The redirect_uri is none that the client is registered for.")
    return requested


def parse_request(
    view: ProjectView, client: Client, redirect_uri: str, form: Form, *, pushed: str | None = None
) -> tuple[AuthorizationRequest, SignInDemand]:
    """What the client asks for, and how the person has to have signed in for it; `pushed` names a request that was.

    Everything that is wrong here is answered to the client.

    Spec: AUTHZ-02, AUTHZ-03, AUTHZ-11; RFC 9126 §5 (PAR-10)
    """
    if form.repeated:
        raise invalid_request("A parameter is repeated.")
    state = form.get("state")
    if state is not None and len(state.encode()) > MAX_STATE_LENGTH:
        raise invalid_request(f"The state is longer than {MAX_STATE_LENGTH} bytes.")
    if pushed is None and client.metadata.require_pushed_authorization_requests:
        raise invalid_request("The client is registered to push its requests first.")
    _check_supported(client, form)
    challenge = parse_challenge(form.get("code_challenge"), form.get("code_challenge_method"))
    demand = parse_demand(form.get("prompt"), form.get("max_age"))
    resource = select_resource(form.resources, view.resources)
    _check_open(view, resource)
    scope, dropped = select_scopes(form.get("scope"), resource, client)
    request = AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        state=state,
        code_challenge=challenge,
        resource_id=resource.resource_id,
        scope=scope,
        dropped=dropped,
        redirect_uri_sent="redirect_uri" in form,
        alias=asked_alias(form.resources, resource),
        dpop_jkt=_parse_thumbprint(form.get("dpop_jkt")),
        pushed=pushed,
    )
    return request, demand


def _check_supported(client: Client, form: Form) -> None:
    """Refuse what asks for another kind of answer, or comes in another kind of request."""
    if form.require("response_type") != "code":
        raise OAuthError(UNSUPPORTED_RESPONSE_TYPE, "The only supported response_type is code.")
    if form.get("response_mode", "query") != "query":
        raise invalid_request("The only supported response_mode is query.")
    if "authorization_code" not in client.metadata.grant_types:
        raise OAuthError(UNAUTHORIZED_CLIENT, "The client is not registered for the authorization code grant.")
    if "request" in form:
        raise invalid_request("Request objects are not supported.")
    check_authorization_details(form)


def _check_open(view: ProjectView, resource: Resource) -> None:
    if resource.stopped_at is not None or view.project.stopped_at is not None:
        raise OAuthError(
            TEMPORARILY_UNAVAILABLE,
            "An administrator has stopped this server for now.",
            status=503,
            headers={"retry-after": "60"},
        )


def _parse_thumbprint(text: str | None) -> str | None:
    """The key that the code is to be bound to. Spec: RFC 9449 §10"""
    if text is not None and not is_thumbprint(text):
        raise invalid_request("The dpop_jkt must be a SHA-256 thumbprint in base64url.")
    return text
