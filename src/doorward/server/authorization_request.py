"""Reading an authorization request: what a client asks for, whichever way the request came.

Spec: OAuth 2.1 §4.1.1 (AUTHZ-02, AUTHZ-03, AUTHZ-11); RDU-02, RDU-07
"""

import re

from doorward.core.models import AuthorizationRequest, Client
from doorward.core.policy import asked_alias, select_resource, select_scopes
from doorward.oauth.errors import (
    TEMPORARILY_UNAVAILABLE,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_RESPONSE_TYPE,
    OAuthError,
    invalid_request,
)
from doorward.oauth.forms import Form
from doorward.oauth.pkce import parse_challenge
from doorward.oauth.redirects import find_registered

from .page_error import START_AGAIN, PageError
from .tenancy import ProjectView

MAX_STATE_LENGTH = 4096
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


def find_redirect_uri(client: Client, form: Form) -> str:
    """The redirect URI to answer to. Spec: RDU-02, RDU-07"""
    registered = client.metadata.redirect_uris
    requested = form.get("redirect_uri")
    if "redirect_uri" in form.repeated:
        raise PageError("This link is malformed", "It names two places to return to.", START_AGAIN)
    if requested is None:
        if len(registered) == 1:
            return registered[0]
        raise PageError("This link is incomplete", "It does not say where to return to.", START_AGAIN)
    if find_registered(registered, requested) is None:
        raise PageError(
            "This app asked to return to a place it is not registered for",
            f"It asked for {requested[:200]}. Registered: {', '.join(registered)[:600]}.",
            (
                "If you did not expect this, close the page: someone may be trying to misuse the app's name.",
                "Otherwise remove this server in the app and add it again.",
            ),
        )
    return requested


def parse_request(view: ProjectView, client: Client, redirect_uri: str, form: Form) -> AuthorizationRequest:
    """Everything that is answered to the client when it is wrong. Spec: AUTHZ-02, AUTHZ-03, AUTHZ-11"""
    if form.repeated:
        raise invalid_request("A parameter is repeated.")
    state = form.get("state")
    if state is not None and len(state.encode()) > MAX_STATE_LENGTH:
        raise invalid_request(f"The state is longer than {MAX_STATE_LENGTH} bytes.")
    response_type = form.require("response_type")
    if response_type != "code":
        raise OAuthError(UNSUPPORTED_RESPONSE_TYPE, "The only supported response_type is code.")
    if form.get("response_mode", "query") != "query":
        raise invalid_request("The only supported response_mode is query.")
    if "authorization_code" not in client.metadata.grant_types:
        raise OAuthError(UNAUTHORIZED_CLIENT, "The client is not registered for the authorization code grant.")
    if "request" in form or "request_uri" in form:
        raise invalid_request("Request objects are not supported.")
    challenge = parse_challenge(form.get("code_challenge"), form.get("code_challenge_method"))
    resource = select_resource(form.resources, view.resources)
    if resource.stopped_at is not None or view.project.stopped_at is not None:
        raise OAuthError(TEMPORARILY_UNAVAILABLE, "An administrator has stopped this server for now.")
    scope, dropped = select_scopes(form.get("scope"), resource, client)
    return AuthorizationRequest(
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
    )


def _parse_thumbprint(text: str | None) -> str | None:
    """The key that the code is to be bound to. Spec: RFC 9449 §10"""
    if text is not None and not _THUMBPRINT.fullmatch(text):
        raise invalid_request("The dpop_jkt must be a SHA-256 thumbprint in base64url.")
    return text
