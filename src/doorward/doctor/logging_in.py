"""The part of a visit for which a person logs in: what the answers look like, and what the token is good for.

The doctor goes the whole way itself, and not as `doorward.client` does, which would stop at what it is here to see. It
sees every answer raw and shows none: codes, tokens and secrets stay here. One thing it does not do, either: send a code
that one authorization server gave to another, whatever a server says that it is (mix-up).

Spec: AUTHZ-16, ISS-05, TOK-03, RT-03, RT-10, RS-02, RFC 7009; complaints 4, 7, 21, 34
"""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode

from doorward.client.addresses import check_browsable, is_loopback_url
from doorward.client.errors import ClientError
from doorward.client.interaction import Interaction
from doorward.oauth.errors import printable

from .discovery import Discovered
from .gathering import INITIALIZE, PROTOCOL_VERSION, build_message
from .habits import OFFLINE_ACCESS, is_usable
from .places import origin_of, without_slash
from .rules import resource_fits, strings_of, text_of
from .sending import Sender, send_all
from .visits import Ask, LoginSeen, Registered, Seen, Visit

CLIENT_NAME = "Doorward doctor"
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Login:
    """How a person logs in for the doctor, and what it does then.

    Without `client_id` (of a client without a secret) the doctor registers itself. `tool` is called with `arguments`
    when it is named. `siblings` are other servers of the same people, which are sent the token and must not take it.
    """

    interaction: Interaction
    client_id: str = ""
    scope: str = ""
    tool: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    siblings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Client:
    client_id: str
    secret: str = field(default="", repr=False)


async def log_in(visit: Visit, sender: Sender, found: Discovered, login: Login) -> LoginSeen:
    """Lead the person through a login, and use what comes of it. Never raises for what the server does."""
    seen = LoginSeen()
    seen.stopped, seen.is_told = _why_not(visit, found)
    if seen.stopped:
        return seen
    try:
        client = await _get_token(visit, sender, found, login, seen)
    except ClientError as error:
        seen.stopped = str(error)
        return seen
    token = text_of(seen.token.document if seen.token else None, "access_token")
    if client is None or not token:
        return seen
    await _use_token(visit, sender, login, seen, token)
    await _refresh(visit, sender, found, client, seen)
    await _revoke(visit, sender, found, client, seen)
    return seen


def _why_not(visit: Visit, found: Discovered) -> tuple[str, bool]:
    """Why nobody may log in here, and whether another check tells it; nothing where it is safe. Spec: PRM-17, ASM-20"""
    if not all(is_usable(visit, text_of(found.metadata, f"{name}_endpoint")) for name in ("authorization", "token")):
        return "The endpoints cannot be used.", True
    resource = text_of(found.resource, "resource")
    if found.resource is not None and not resource_fits("either-slash", visit.url, resource, at_root=True):
        return "The metadata is about another server: nobody was asked for a token that is for that one.", True
    if not names_one_issuer(found):
        why = "The metadata is of another authorization server than it was asked of: nobody was sent there."
        return why, bool(found.issuer)
    return "", False


def names_one_issuer(found: Discovered) -> bool:
    """Whether a login would be at one authorization server, and its code go to no other. Spec: ASM-20; threat T36"""
    issuer = text_of(found.metadata, "issuer")
    if found.issuer:
        return without_slash(found.issuer) == without_slash(issuer)
    # Nobody named the issuer: then its word counts for its own endpoints alone.
    return not issuer or origin_of(text_of(found.metadata, "token_endpoint")) == origin_of(issuer)


def is_of_issuer(found: Discovered, answer: Mapping[str, str]) -> bool:
    """Whether an authorization response is of the server that was asked, as far as it says. Spec: ISS-05; RFC 9207"""
    iss = answer.get("iss")
    if iss is None:
        return found.metadata.get("authorization_response_iss_parameter_supported") is not True
    return without_slash(iss) == without_slash(text_of(found.metadata, "issuer"))


async def _get_token(visit: Visit, sender: Sender, found: Discovered, login: Login, seen: LoginSeen) -> _Client | None:
    async with login.interaction.open() as redirect:
        registered = None if login.client_id else await _register(visit, sender, found, redirect.redirect_uri)
        client = _Client(login.client_id) if login.client_id else registered
        if client is None:
            seen.stopped = "The doctor could not register itself. Name a client with --client-id."
            return None
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        seen.scope_asked = login.scope or _default_scope(visit, found)
        asked = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": redirect.redirect_uri,
            "state": state,
            "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "scope": seen.scope_asked,
            "resource": _resource(visit, found),
        }
        endpoint = text_of(found.metadata, "authorization_endpoint")
        query = urlencode({name: value for name, value in asked.items() if value})
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
        check_browsable(url, loopback_http=is_loopback_url(visit.url))
        seen.answer = dict(parse_qsl(await redirect.visit(url, state=state), keep_blank_values=True))
    if not is_of_issuer(found, seen.answer):
        seen.stopped = "The answer is not of the authorization server that was asked: its code was not sent anywhere."
        seen.is_told = True
        return None
    if "code" not in seen.answer:
        seen.stopped = f"The login was refused: {printable(seen.answer.get('error', 'no code came back'))}."
        return None
    form = {"grant_type": "authorization_code", "code": seen.answer["code"], "code_verifier": verifier}
    form |= {"redirect_uri": asked["redirect_uri"], "resource": asked["resource"]}
    seen.token = await _ask_for_token(sender, found, client, form)
    return client


async def _register(visit: Visit, sender: Sender, found: Discovered, redirect_uri: str) -> _Client | None:
    endpoint = text_of(found.metadata, "registration_endpoint")
    if not visit.registers or not is_usable(visit, endpoint):
        return None
    body = {
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }
    headers = {"content-type": "application/json", "accept": "application/json"}
    answer = await sender.send(Ask("POST", endpoint, headers, json.dumps(body).encode()))
    visit.registrations.append(Registered((), body, answer))
    client_id = visit.registrations[-1].client_id
    return _Client(client_id, text_of(answer.document, "client_secret")) if client_id else None


def _default_scope(visit: Visit, found: Discovered) -> str:
    scope = visit.challenge_scope() or " ".join(strings_of(found.resource, "scopes_supported"))
    offline = OFFLINE_ACCESS in strings_of(found.metadata, "scopes_supported")
    return f"{scope} {OFFLINE_ACCESS}".strip() if offline else scope


def _resource(visit: Visit, found: Discovered) -> str:
    return text_of(found.resource, "resource") or visit.url


def _build_token_ask(found: Discovered, client: _Client, form: Mapping[str, str]) -> Ask:
    credentials = {"client_id": client.client_id, "client_secret": client.secret}
    sent = {name: value for name, value in {**form, **credentials}.items() if value}
    return Ask("POST", text_of(found.metadata, "token_endpoint"), _FORM, urlencode(sent).encode())


async def _ask_for_token(sender: Sender, found: Discovered, client: _Client, form: Mapping[str, str]) -> Seen:
    return await sender.send(_build_token_ask(found, client, form))


def _build_call(url: str, token: str, body: bytes, session: str = "") -> Ask:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {token}",
        "mcp-protocol-version": PROTOCOL_VERSION,
    }
    return Ask("POST", url, {**headers, "mcp-session-id": session} if session else headers, body)


async def _use_token(visit: Visit, sender: Sender, login: Login, seen: LoginSeen, token: str) -> None:
    """Initialize, list the tools, call one, and knock at other servers. Spec: RS-02; complaints 7, 21"""
    seen.initialize = await sender.send(_build_call(visit.url, token, INITIALIZE))
    for url in login.siblings:
        seen.siblings.append(await sender.send(_build_call(url, token, INITIALIZE)))
    if not 200 <= seen.initialize.status < 300:
        return
    session = seen.initialize.header("mcp-session-id")
    ready = build_message("notifications/initialized", None)
    await sender.send(_build_call(visit.url, token, ready, session))
    seen.tools = await sender.send(_build_call(visit.url, token, build_message("tools/list", 2), session))
    if login.tool:
        call = build_message("tools/call", 3, name=login.tool, arguments=dict(login.arguments))
        seen.called = login.tool
        seen.call = await sender.send(_build_call(visit.url, token, call, session))


async def _refresh(visit: Visit, sender: Sender, found: Discovered, client: _Client, seen: LoginSeen) -> None:
    """Refresh twice at once with the same token, and use both answers. Spec: RT-10; complaint 4"""
    held = text_of(seen.token.document if seen.token else None, "refresh_token")
    if not held:
        return
    form = {"grant_type": "refresh_token", "refresh_token": held, "resource": _resource(visit, found)}
    ask = _build_token_ask(found, client, form)
    seen.refreshes = list((await send_all(sender, {0: ask, 1: ask})).values())
    for one in seen.refreshes:
        token = text_of(one.document, "access_token")
        if token:
            seen.used_after.append(await sender.send(_build_call(visit.url, token, INITIALIZE)))


async def _revoke(visit: Visit, sender: Sender, found: Discovered, client: _Client, seen: LoginSeen) -> None:
    """Give back the newest refresh token, and see whether it is still good. Spec: REV-01"""
    endpoint = text_of(found.metadata, "revocation_endpoint")
    answers = [seen.token, *seen.refreshes]
    held = [token for one in answers if one is not None and (token := text_of(one.document, "refresh_token"))]
    if not held or not is_usable(visit, endpoint):
        return
    form = {"token": held[-1], "token_type_hint": "refresh_token", "client_id": client.client_id}
    form |= {"client_secret": client.secret} if client.secret else {}
    seen.revoked = await sender.send(Ask("POST", endpoint, _FORM, urlencode(form).encode()))
    again = {"grant_type": "refresh_token", "refresh_token": held[-1], "resource": _resource(visit, found)}
    seen.after_revocation = await _ask_for_token(sender, found, client, again)
