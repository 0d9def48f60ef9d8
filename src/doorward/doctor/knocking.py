"""What the doctor does as each client: registers with its body, asks for its login page, and cleans up.

No person is asked and nobody is let in: an authorization request without a person shows whether the client is known,
its redirect accepted, and how errors are answered.

Spec: DCR-02 … DCR-06, RDU-02 … RDU-05, AUTHZ-04, SCP-07, ISS-01, TOK-05; complaints 8 … 11, 13, 34, 36; RFC 7592 §2.3
"""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from urllib.parse import urlencode

from doorward.oauth.redirects import LOOPBACK_HOSTS

from .discovery import Discovered, Stopped, discover
from .habits import OFFLINE_ACCESS, is_usable, resource_of, scope_of, uses_document
from .places import host_of, origin_of
from .profiles import OTHER_PORT, Profile, fill_port
from .rules import strings_of, text_of
from .sending import Sender, send_all
from .visits import Ask, Asked, Registered, Seen, Visit

MAX_REGISTRATIONS = 24
UNKNOWN_CLIENT = "doorward-doctor-unknown-client"
FOREIGN_REDIRECT = "https://doorward-doctor.example/callback"
UNKNOWN_SCOPE = "doorward-doctor-unknown"
STATE = "doorward+doctor/state="
VERIFIER = "doorward-doctor-verifier-which-protects-nothing"
CHALLENGE_OF_VERIFIER = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
_OF_NAME_ONLY = frozenset({"client_name", "client_uri", "software_id", "software_version"})
_NOTHING = Seen("GET", "")
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


async def register_all(visit: Visit, sender: Sender, *, most: int = MAX_REGISTRATIONS) -> None:
    """Register with the body of every client that would register here; bodies that differ by a name once."""
    bodies: dict[str, tuple[list[str], dict[str, object], str]] = {}
    for profile in visit.profiles:
        endpoint, body = _registration(profile, visit)
        if not endpoint:
            continue
        shape = json.dumps([endpoint, {name: body[name] for name in body.keys() - _OF_NAME_ONLY}], sort_keys=True)
        bodies.setdefault(shape, ([], body, endpoint))[0].append(profile.id)
    tried = list(bodies.values())[:most]
    visit.left_out = tuple(profile for ids, _, _ in list(bodies.values())[most:] for profile in ids)
    headers = {"content-type": "application/json", "accept": "application/json"}
    asks = {
        number: Ask("POST", endpoint, headers, json.dumps(body).encode())
        for number, (_, body, endpoint) in enumerate(tried)
    }
    for number, seen in (await send_all(sender, asks)).items():
        visit.registrations.append(Registered(tuple(tried[number][0]), tried[number][1], seen))


def _registration(profile: Profile, visit: Visit) -> tuple[str, dict[str, object]]:
    """Where and how a client would register; nowhere when it would not come so far, or needs not to."""
    try:
        found = discover(profile, visit)
    except Stopped:
        return "", {}
    endpoint = text_of(found.metadata, "registration_endpoint")
    if not is_usable(visit, endpoint) or uses_document(profile, found.metadata):
        return "", {}
    return endpoint, profile.registration_body(scope_of(profile, visit, found))


async def remove_registrations(visit: Visit, sender: Sender) -> None:
    """Remove every registration that can be removed. Its token goes nowhere but where it came from."""
    for registrations in (visit.unmeant, visit.registrations):
        for number, one in enumerate(registrations):
            registrations[number] = await _remove(one, sender)


async def _remove(one: Registered, sender: Sender) -> Registered:
    document = one.seen.document or {}
    url, token = text_of(document, "registration_client_uri"), text_of(document, "registration_access_token")
    was_made = one.seen.status in (200, 201)  # perhaps with an id that is none
    if not was_made or not token or origin_of(url) != origin_of(one.seen.url):
        return one
    seen = await sender.send(Ask("DELETE", url, {"authorization": f"Bearer {token}"}))
    return replace(one, removed=seen.status in (200, 204))


async def authorize_all(visit: Visit, sender: Sender, found: Discovered) -> None:
    """Ask for the login page as every client that is known by now, and in the ways that only errors answer."""
    if not is_usable(visit, text_of(found.metadata, "authorization_endpoint")):
        return
    asks: list[tuple[Asked, Ask]] = []
    for profile in visit.profiles:
        asks += _build_asks(profile, visit)
    visit.authorizations = await _ask(sender, asks)
    visit.authorizations += await _ask(sender, _build_general_asks(visit, found))


async def _ask(sender: Sender, asks: list[tuple[Asked, Ask]]) -> list[Asked]:
    seen = await send_all(sender, {number: ask for number, (_, ask) in enumerate(asks)})
    return [replace(asks[number][0], seen=answer) for number, answer in seen.items()]


def _build_asks(profile: Profile, visit: Visit) -> list[tuple[Asked, Ask]]:
    try:
        found = discover(profile, visit)
    except Stopped:
        return []
    endpoint = text_of(found.metadata, "authorization_endpoint")
    scope, resource = scope_of(profile, visit, found), resource_of(profile, visit, found)

    def build(kind: str, client_id: str, redirect_uri: str) -> tuple[Asked, Ask]:
        return _build(endpoint, profile.id, kind, client_id, redirect_uri, scope=scope, resource=resource)

    if uses_document(profile, found.metadata):
        asks = [build("published", profile.document, profile.published_redirect)]
        if profile.redirect_of_document != profile.published_redirect:
            asks.append(build("document", profile.document, profile.redirect_of_document))
        return asks
    tried = visit.registration_of(profile.id)
    if tried is None or not tried.client_id:
        return []
    registered = profile.registered_redirects
    asks = [
        build("registered" if uri in registered else "port", tried.client_id, uri) for uri in profile.used_redirects
    ]
    first = profile.registration["redirect_uris"][0]
    if "{port}" in first:
        asks.append(build("port", tried.client_id, fill_port(first, OTHER_PORT)))
    return asks


def _build_general_asks(visit: Visit, found: Discovered) -> list[tuple[Asked, Ask]]:
    endpoint = text_of(found.metadata, "authorization_endpoint")
    client_id, redirect_uri = known_client(visit)
    scope, resource = visit.challenge_scope(), text_of(found.resource, "resource")
    asks = [_build(endpoint, "", "unknown", UNKNOWN_CLIENT, FOREIGN_REDIRECT, scope=scope, resource=resource)]
    if not client_id:
        return asks

    def build(kind: str, redirect_uri: str, scope: str, **more: str) -> tuple[Asked, Ask]:
        return _build(endpoint, "", kind, client_id, redirect_uri, scope=scope, resource=resource, **more)

    asks.append(build("error", redirect_uri, scope, prompt="none"))
    asks.append(build("foreign", FOREIGN_REDIRECT, scope))
    asks.append(build("scope", redirect_uri, f"{scope} {UNKNOWN_SCOPE}".strip()))
    if OFFLINE_ACCESS in strings_of(found.metadata, "scopes_supported"):
        asks.append(build("offline", redirect_uri, f"{scope} {OFFLINE_ACCESS}".strip()))
    return asks


def known_client(visit: Visit) -> tuple[str, str]:
    """A client that is known at the authorization server, and a redirect URI of its own.

    One without a secret and on a person's own machine before others: only there do all servers send errors.
    """
    documents = {profile.id: profile.document for profile in visit.profiles}
    known = [
        (one.client_id, str(one.body["redirect_uris"][0]), (one.seen.document or {}).get("token_endpoint_auth_method"))
        for one in visit.registrations
        if one.client_id
    ]
    accepted = [one for one in visit.asked_as("published") if not one.refusal]
    known += [(documents[one.profile], one.redirect_uri, "none") for one in accepted]
    known.sort(key=lambda one: (one[2] != "none", host_of(one[1]) not in LOOPBACK_HOSTS))
    return known[0][:2] if known else ("", "")


def _build(
    endpoint: str, profile: str, kind: str, client_id: str, redirect_uri: str, **parameters: str
) -> tuple[Asked, Ask]:
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": STATE,
        "code_challenge": CHALLENGE_OF_VERIFIER,
        "code_challenge_method": "S256",
        **{name: value for name, value in parameters.items() if value},
    }
    url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
    ask = Ask("GET", url, {"accept": "text/html"})
    return Asked(profile, kind, redirect_uri, seen=_NOTHING), ask


async def ask_for_tokens(visit: Visit, sender: Sender, found: Discovered) -> None:
    """What the token endpoint says to codes and tokens it never gave, and to clients it never met."""
    endpoint = text_of(found.metadata, "token_endpoint")
    if not is_usable(visit, endpoint):
        return
    client_id, redirect_uri = known_client(visit)
    code = {
        "grant_type": "authorization_code",
        "code": UNKNOWN_CLIENT,
        "redirect_uri": redirect_uri or FOREIGN_REDIRECT,
    }
    forms = {"unknown-client": {**code, "code_verifier": VERIFIER, "client_id": UNKNOWN_CLIENT}}
    if client_id:
        forms["code"] = {**code, "code_verifier": VERIFIER, "client_id": client_id}
        forms["refresh"] = {"grant_type": "refresh_token", "refresh_token": UNKNOWN_CLIENT, "client_id": client_id}
        forms["grant"] = {"grant_type": "urn:doorward:doctor", "client_id": client_id}
    asks = {name: Ask("POST", endpoint, _FORM, urlencode(form).encode()) for name, form in forms.items()}
    visit.tokens = await send_all(sender, asks)
