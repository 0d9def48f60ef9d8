"""The authorization request, and whether a response answers it.

What the response is held against was written down before the person left: state, verifier, issuer. Nothing of a
response that fails is used or shown.

Spec: OAuth 2.1 §4.1; RFC 9207 §2.4; MCP Authorization, Authorization Response Validation (AUTHZ-17, ISS-04 … ISS-08,
PKCE-01, PKCE-07, RES-01, RES-02, SCP-01 … SCP-03)
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from doorward.oauth.errors import ACCESS_DENIED, OAuthError, printable
from doorward.oauth.forms import Form, parse_query
from doorward.oauth.pkce import build_challenge
from doorward.oauth.redirects import add_parameters
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, format_scope, union

from .documents import ResourceMetadata, ServerMetadata, parse_object
from .effects import Flow
from .errors import (
    AccessDenied,
    AuthorizationFailed,
    CallbackIssuerMismatch,
    DiscoveryFailed,
    PkceUnsupported,
    StateMismatch,
)
from .records import Registration
from .tokens import Prover, describe_refusal, post_form


@dataclass(frozen=True, slots=True)
class PendingAuthorization:
    """A request that is on its way. Spec: ISS-04"""

    url: str = field(repr=False)
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    server: ServerMetadata

    def build_token_form(self, code: str, resource: str) -> dict[str, str]:
        """What redeems the code, at the token endpoint of the issuer that was asked. Spec: ISS-08, RES-01, CODE-04"""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": self.verifier,
            "redirect_uri": self.redirect_uri,
            "resource": resource,
        }


def check_pkce(server: ServerMetadata) -> None:
    """Refuse a server that does not say it supports PKCE with S256: without it a stolen code opens. Spec: ASM-21"""
    if "S256" not in (server.code_challenge_methods_supported or ()):
        raise PkceUnsupported(
            f"{server.issuer} does not say that it supports PKCE (code_challenge_methods_supported with S256), "
            "so signing in there is not safe."
        )


def choose_scope(
    wanted: Scopes | None,
    challenged: Scopes,
    metadata: ResourceMetadata | None,
    server: ServerMetadata,
    *,
    refreshes: bool,
) -> Scopes:
    """What to ask for: what the program wants, else what was challenged, else what the resource lists, else nothing.

    `offline_access` is added where the server lists it, since some give a refresh token for nothing less. Never alone:
    a server that would choose by default what to grant would grant that and nothing else.

    Spec: SCP-01 … SCP-03; clients.md §1b
    """
    listed = metadata.scopes_supported if metadata else None
    chosen = wanted if wanted is not None else challenged or listed or ()
    offline = (OFFLINE_ACCESS,) if chosen and refreshes and OFFLINE_ACCESS in server.scopes_supported else ()
    return union(chosen, offline)


def build_authorization(
    server: ServerMetadata,
    registration: Registration,
    prover: Prover,
    *,
    redirect_uri: str,
    resource: str,
    scope: Scopes,
) -> Flow[PendingAuthorization]:
    """A new request, with a state and a verifier that were never used before; pushed where the server insists.

    Spec: OAuth 2.1 §4.1.1; RFC 9126 §2 (PKCE-01, PKCE-07, RES-01)
    """
    check_pkce(server)
    if server.authorization_endpoint is None:
        raise DiscoveryFailed(f"{server.issuer} names no authorization endpoint.")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    parameters = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": build_challenge(verifier),
        "code_challenge_method": "S256",
        "state": state,
        "resource": resource,
    }
    if scope:
        parameters["scope"] = format_scope(scope)
    if OFFLINE_ACCESS in scope:
        # Servers of OpenID Connect give it only when the person is asked.
        parameters["prompt"] = "consent"
    if prover.proof_key is not None:
        parameters["dpop_jkt"] = prover.proof_key.thumbprint
    if server.require_pushed_authorization_requests and server.pushed_authorization_request_endpoint:
        parameters = yield from _push(
            server, server.pushed_authorization_request_endpoint, registration, parameters, prover
        )
    url = add_parameters(server.authorization_endpoint, parameters)
    return PendingAuthorization(url, state, verifier, redirect_uri, server)


def check_response(pending: PendingAuthorization, query: str) -> str:
    """The code of a response to `pending`.

    State first, then the issuer, compared as it is written; only then is anything else of the response looked at.
    Raises `StateMismatch`, `CallbackIssuerMismatch`, `AccessDenied` and `AuthorizationFailed`.

    Spec: AUTHZ-17, ISS-05 … ISS-07, C20
    """
    try:
        form = parse_query(query.encode("ascii", "replace"))
    except OAuthError:
        raise AuthorizationFailed("The authorization response is malformed.") from None
    if form.repeated & {"state", "iss", "code", "error"}:
        raise AuthorizationFailed("The authorization response has a parameter twice.")
    if not secrets.compare_digest(form.get("state", "").encode(), pending.state.encode()):
        raise StateMismatch("The authorization response does not belong to this sign-in.")
    _check_issuer(pending.server, form)
    if "error" in form:
        raise _denial(pending.server, form)
    if not (code := form.get("code")):
        raise AuthorizationFailed("The authorization response holds neither a code nor an error.")
    return code


def _check_issuer(server: ServerMetadata, form: Form) -> None:
    """Compare `iss` with the issuer that was asked, unless neither side knows it. Spec: ISS-05, ISS-06"""
    issuer = form.get("iss")
    if issuer is None and server.iss_parameter_supported:
        raise CallbackIssuerMismatch(
            f"{server.issuer} says that it names itself in its responses, but this one does not: it may be another's."
        )
    if issuer is not None and issuer != server.issuer:
        raise CallbackIssuerMismatch(f"The authorization response is not from {server.issuer}, which was asked.")


def _denial(server: ServerMetadata, form: Form) -> AuthorizationFailed:
    code = printable(form["error"])[:100]
    said = printable(form.get("error_description", ""))[:300]
    if code == ACCESS_DENIED:
        return AccessDenied(f"Access was denied at {server.issuer}{f' ({said})' if said else ''}.", code=code)
    return AuthorizationFailed(f"{server.issuer} refused ({f'{code}: {said}' if said else code}).", code=code)


def _push(
    server: ServerMetadata,
    endpoint: str,
    registration: Registration,
    parameters: Mapping[str, str],
    prover: Prover,
) -> Flow[dict[str, str]]:
    """The two parameters that stand for a pushed request. Spec: RFC 9126 §2.1, §4"""
    answer = yield from post_form(server, endpoint, registration, parameters, prover, what="the authorization request")
    members = parse_object(answer.body) or {}
    request_uri = members.get("request_uri")
    if answer.status not in {200, 201} or not isinstance(request_uri, str):
        code, said = describe_refusal(answer, {"client_secret": registration.client_secret or ""})
        raise AuthorizationFailed(f"{server.issuer} refused the authorization request ({said}).", code=code)
    return {"client_id": registration.client_id, "request_uri": request_uri}
