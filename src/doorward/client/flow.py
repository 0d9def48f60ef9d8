"""From who protects a server to the tokens for it: registration, then the grant that fits this client.

Spec: MCP Authorization, Authorization Flow Steps (REG-01, REG-02, RDU-08, AUTHZ-18)
"""

from dataclasses import dataclass

from doorward.oauth.errors import INVALID_CLIENT
from doorward.oauth.scopes import OFFLINE_ACCESS, Scopes, union

from .addresses import check_browsable
from .agents import AgentGrant
from .authorization import PendingAuthorization, build_authorization, check_pkce, check_response, choose_scope
from .device_authorization import authorize_device, check_offers_codes
from .discovery import Discovery
from .documents import ServerMetadata
from .effects import Answer, Flow, LoadRegistration, OpenRedirect, SaveRegistration, Send, Visit
from .errors import AnswerRefused, AuthorizationFailed, RegistrationNeeded
from .records import Registration, Tokens
from .registration import (
    CODE_GRANTS,
    DEVICE_GRANT,
    ClientIdentity,
    RegistrationWish,
    build_given_registration,
    check_issuer,
    register,
    resolve_registration,
)
from .tokens import Prover, request_tokens


@dataclass(frozen=True, slots=True)
class LoginWish:
    """What a login is to bring, and how.

    `wanted` are the program's own scopes, None where it leaves them to the server; `challenged` those of the server's
    challenge; `held` those that were asked for before, which a step-up asks for again. `trusts_registration` says
    that a registration from the store is known to be good.
    """

    identity: ClientIdentity
    wanted: Scopes | None = None
    challenged: Scopes = ()
    held: Scopes = ()
    agent: AgentGrant | None = None
    uses_device_grant: bool = False
    trusts_registration: bool = True


def log_in(discovery: Discovery, wish: LoginWish, prover: Prover) -> Flow[tuple[Registration, Tokens]]:
    """How this client is known, and its new tokens: by its agent grant, a code for a device, or a person's browser.

    Raises every `ClientError` of the steps it is made of.
    """
    if wish.agent is not None:
        return (yield from _log_in_agent(discovery, wish, wish.agent, prover))
    scope = union(
        wish.held, choose_scope(wish.wanted, wish.challenged, discovery.metadata, discovery.server, refreshes=True)
    )
    if wish.uses_device_grant:
        check_offers_codes(discovery.server)
        registration = yield from resolve_registration(
            wish.identity,
            discovery.server,
            discovery.resource,
            RegistrationWish(None, (DEVICE_GRANT, "refresh_token"), scope, prover.clock()),
        )
        tokens = yield from authorize_device(
            discovery.server, registration, prover, resource=discovery.resource, scope=scope
        )
        return registration, tokens
    return (yield from _log_in_person(discovery, wish, prover, scope))


def _log_in_agent(
    discovery: Discovery, wish: LoginWish, agent: AgentGrant, prover: Prover
) -> Flow[tuple[Registration, Tokens]]:
    """Never registers, never opens a page, never tries twice. Spec: CC-03, JAG-19, WIF-08"""
    server = discovery.server
    check_issuer(wish.identity, server)  # what a platform vouches with is worth as much as a secret
    if wish.identity.client_id is not None:
        registration = build_given_registration(wish.identity, server)
    elif wish.identity.client_metadata_url is not None and server.client_id_metadata_document_supported:
        registration = yield from resolve_registration(
            wish.identity, server, discovery.resource, RegistrationWish(None, (agent.grant_type,))
        )
    elif agent.needs_client_id:
        raise RegistrationNeeded("A client without a person needs the client_id it has at the authorization server.")
    else:
        registration = Registration(server.issuer, "preregistered", "")
    asked = choose_scope(wish.wanted, wish.challenged, discovery.metadata, server, refreshes=False)
    scope = tuple(token for token in union(wish.held, asked) if token != OFFLINE_ACCESS)
    form = yield from agent.build_form(server, discovery.resource, scope, now=prover.clock())
    tokens = yield from request_tokens(server, registration, form, prover, requested=scope)
    return registration, tokens


def _log_in_person(
    discovery: Discovery, wish: LoginWish, prover: Prover, scope: Scopes
) -> Flow[tuple[Registration, Tokens]]:
    server, resource = discovery.server, discovery.resource
    check_pkce(server)
    stored = yield LoadRegistration(server.issuer, resource)
    known = stored.redirect_uris if isinstance(stored, Registration) else ()
    redirect_uri = yield OpenRedirect(known)
    assert isinstance(redirect_uri, str)  # noqa: S101  # what an OpenRedirect results in
    registration_wish = RegistrationWish(redirect_uri, CODE_GRANTS, scope, prover.clock())
    registration = yield from resolve_registration(wish.identity, server, resource, registration_wish)

    def build(known_as: Registration) -> Flow[PendingAuthorization]:
        pending = yield from build_authorization(
            server, known_as, prover, redirect_uri=redirect_uri, resource=resource, scope=scope
        )
        check_browsable(pending.url, loopback_http=server.issuer.startswith("http:"))
        return pending

    endpoint = server.registration_endpoint
    if registration is not stored or endpoint is None:
        pending = yield from build(registration)
    else:
        request = yield from _build_if_known(server, build(registration), looks=not wish.trusts_registration)
        if request is None:
            registration = yield from register(wish.identity, server, endpoint, registration_wish)
            yield SaveRegistration(resource, registration)
            request = yield from build(registration)
        pending = request
    query = yield Visit(pending.url, pending.state)
    code = check_response(pending, str(query))
    form = pending.build_token_form(code, resource)
    return registration, (yield from request_tokens(server, registration, form, prover, requested=scope))


def _build_if_known(
    server: ServerMetadata, build: Flow[PendingAuthorization], *, looks: bool
) -> Flow[PendingAuthorization | None]:
    """The request, or None where the server has forgotten the client that makes it."""
    try:
        pending = yield from build
    except AuthorizationFailed as error:
        if error.code != INVALID_CLIENT:
            raise
        return None
    return None if looks and (yield from _is_forgotten(server, pending)) else pending


def _is_forgotten(server: ServerMetadata, pending: PendingAuthorization) -> Flow[bool]:
    """Whether the server does not know this client any more, which else only a page would say, to the person.

    Looked at once, before the person is: many servers forget the clients they registered. A pushed request may be
    used once, and was taken from a client that is known.
    """
    if server.require_pushed_authorization_requests:
        return False
    try:
        answer = yield Send("GET", pending.url, f"the page to sign in at {server.issuer}", {"accept": "text/html"})
    except AnswerRefused:
        return False
    return isinstance(answer, Answer) and answer.status in {400, 401}
