"""The token exchange grant: a protected server calls another one on behalf of the person whose token it was given.

Nothing is allowed that no operator wrote down: a rule names the client, the servers on both sides and the most that it
may ask for. The token that comes out speaks for the same person, never for more or for longer than the one that went
in, and ends with it: with its connection, with any token it came from, and with every client and server on its way.

Spec: RFC 8693 (TX-01 … TX-09, T30); threats, finding 7; ADR 0018
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.core import audit
from doorward.core.models import TOKEN_EXCHANGE, AuditEvent, Authorization, ExchangeRule, Refused, Resource
from doorward.core.policy import asked_alias, exchange_scopes, select_resource
from doorward.oauth.errors import INVALID_TARGET, OAuthError, invalid_request
from doorward.oauth.forms import Form
from doorward.oauth.jwt import CAME_FROM_CLAIM, CAME_THROUGH_CLAIM, GRANT_CLAIM, TOOLS_CLAIM, VerifiedClaims
from doorward.oauth.token_exchange import JWT_TYPE, ExchangeRequest, build_act, parse_exchange, permits_actor
from doorward.server.context import Context
from doorward.server.introspection import find_access_token, standing_of
from doorward.storage.access_tokens import is_token_live
from doorward.storage.audit import record
from doorward.storage.clients import touch_client
from doorward.storage.database import Transaction
from doorward.storage.exchange_rules import find_exchange_rule

from .call import TOUCH_EVERY_MS, TokenCall

GRANT_TYPE = TOKEN_EXCHANGE
MAX_EXCHANGES = 4
"""How often a token may have been exchanged: bounds what a token carries and how many it takes to trace it."""
MAX_LIFE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request whose tokens were verified and were live a moment ago."""

    request: ExchangeRequest
    target: Resource
    subject: VerifiedClaims
    actor: VerifiedClaims | None


def parse(form: Form) -> ExchangeRequest:
    """Read the parameters."""
    return parse_exchange(form)


async def resolve(context: Context, call: TokenCall, request: ExchangeRequest) -> Exchange:
    """Find the server and verify the tokens, whose signatures need no transaction. Raises `OAuthError`.

    A token that cannot be used is `invalid_request`, as the RFC has it, and never `invalid_grant` (TX-03).
    """
    if not request.targets:
        raise OAuthError(INVALID_TARGET, "Name the server that the token is for, with resource.")
    target = select_resource(request.targets, call.view.resources)
    call.check_open(target)
    if request.requested_type == JWT_TYPE and target.settings.token_format != "jwt":
        raise invalid_request("Tokens for this server are not JWTs.")
    subject = await _read_token(context, call, "subject_token", request.subject_token)
    actor = None
    if request.actor_token is not None:
        actor = await _read_token(context, call, "actor_token", request.actor_token)
        # Its own token only: else a client could name somebody as the actor who has nothing to do with it.
        if not actor["sub"] == actor["client_id"] == call.client.client_id:
            raise invalid_request("The actor_token must be the client's own, from the client credentials grant.")
    return Exchange(request, target, subject, actor)


async def authorize(tx: Transaction, call: TokenCall, exchange: Exchange) -> Authorization | Refused:
    """Judge by the rules what the client may make of the token, once that is still live."""
    try:
        rule, scope = await _judge(tx, call, exchange)
    except OAuthError as error:
        return Refused(error)
    client, subject = call.client, exchange.subject
    acts = rule.mode == "delegation" or exchange.actor is not None
    if client.last_used_at is None or call.now - client.last_used_at > TOUCH_EVERY_MS:
        await touch_client(tx, client.project_id, client.client_id, call.now, call.client_expires_at)
    await _record(tx, call, exchange, rule, scope, acts=acts)
    return Authorization(
        subject=subject["sub"],
        client_id=client.client_id,
        resource=exchange.target,
        scope=scope,
        grant_id=subject.get(GRANT_CLAIM),
        alias=asked_alias(exchange.request.targets, exchange.target),
        auth_time=subject["auth_time"] * 1000 if "auth_time" in subject else None,
        not_after=min(int(subject["exp"]) * 1000, call.now + MAX_LIFE_MS),
        tools_at=_tools_seen(call, exchange),
        claims=_build_claims(call, subject, acts=acts),
        answer={"issued_token_type": exchange.request.requested_type},
    )


async def _read_token(context: Context, call: TokenCall, name: str, token: str) -> VerifiedClaims:
    claims = await find_access_token(context, call.view, token, now=call.now)
    if claims is None:
        raise invalid_request(f"The {name} is not a live access token of this server.")
    # Bound to a key, it proves nothing in the hands of whoever cannot prove that key as well (T30).
    if "cnf" in claims and claims["cnf"].get("jkt") != call.jkt:
        raise invalid_request(f"The {name} is bound to a key that this request does not prove.")
    return claims


async def _judge(tx: Transaction, call: TokenCall, exchange: Exchange) -> tuple[ExchangeRule, tuple[str, ...]]:
    """The rule that allows it and the scopes it comes to. Raises `OAuthError`."""
    project_id, client_id, subject = call.view.project.project_id, call.client.client_id, exchange.subject
    standing = standing_of(call.view, subject)
    if standing.resource_id is None or not await is_token_live(tx, project_id, standing):
        raise invalid_request("The subject_token is not a live access token of this server.")
    if exchange.actor is not None and not await is_token_live(tx, project_id, standing_of(call.view, exchange.actor)):
        raise invalid_request("The actor_token is not a live access token of this server.")
    if not permits_actor(subject, issuer=call.view.issuer, actor=client_id):
        raise invalid_request("The subject_token names another party that may act.")
    if len(standing.came_from) >= MAX_EXCHANGES:
        raise invalid_request(f"A token is exchanged {MAX_EXCHANGES} times at most.")
    rule = await find_exchange_rule(
        tx,
        project_id,
        client_id,
        from_resource_id=standing.resource_id,
        to_resource_id=exchange.target.resource_id,
    )
    if rule is None:
        raise OAuthError(INVALID_TARGET, "No rule lets this client exchange this token for one for that server.")
    return rule, exchange_scopes(exchange.request.scope, subject.get("scope", ""), rule.scope, exchange.target)


def _tools_seen(call: TokenCall, exchange: Exchange) -> int | None:
    """For the same server, the list that the person was shown; of another's tools, the rule decides as they are."""
    came_from = standing_of(call.view, exchange.subject).resource_id
    return exchange.subject.get(TOOLS_CLAIM, 0) if came_from == exchange.target.resource_id else None


def _build_claims(call: TokenCall, subject: Mapping[str, Any], *, acts: bool) -> dict[str, Any]:
    """What ties the token to where it came from, and says who acts. A `may_act` is kept: no exchange lifts it."""
    passed = {"client_id": subject["client_id"], "aud": subject["aud"]}
    claims: dict[str, Any] = {
        CAME_FROM_CLAIM: [*subject.get(CAME_FROM_CLAIM, ()), subject["jti"]],
        CAME_THROUGH_CLAIM: [*subject.get(CAME_THROUGH_CLAIM, ()), passed],
    }
    if acts:
        claims["act"] = build_act(call.client.client_id, subject)
    if "may_act" in subject:
        claims["may_act"] = subject["may_act"]
    return claims


async def _record(
    tx: Transaction, call: TokenCall, exchange: Exchange, rule: ExchangeRule, scope: tuple[str, ...], *, acts: bool
) -> None:
    subject = exchange.subject
    detail = {
        "source": call.source,
        "agent": call.agent,
        "rule": rule.rule_id,
        "subject": subject["sub"],
        "from": subject["jti"],
        "from_client": subject["client_id"],
        "grant": subject.get(GRANT_CLAIM),
        "resource": exchange.target.resource_id,
        "scope": " ".join(scope),
        "acts": acts,
    }
    actor = audit.client_actor(call.client.client_id)
    await record(tx, call.client.project_id, AuditEvent(audit.TOKEN_EXCHANGED, actor, actor, detail), call.now)
