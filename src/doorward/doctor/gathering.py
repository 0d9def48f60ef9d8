"""Collects what a server and its authorization server answer to anybody, before any client is known there.

Spec: PRM-02, PRM-03, ASM-03, ASM-19, WWW-01; clients.md no. 2, 53 … 62
"""

import json
from collections.abc import Iterable
from typing import get_args

from .crossings import NAMES, ORIGIN
from .discovery import Discovered, Stopped, discover
from .habits import is_usable
from .places import join, legacy_place, metadata_place, origin_of, resource_place, slash_variant
from .profiles import LENIENT, LegacyPlace, MetadataPlace, ResourcePlace
from .rules import is_absolute, strings_of, text_of
from .sending import Sender, send_all
from .visits import MAX_REDIRECTS, Ask, Crossing, Registered, Seen, Visit

PROTOCOL_VERSION = "2025-11-25"
MAX_ISSUERS = 3
NO_TOKEN = "doorward-doctor-made-this-up"
_JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
_DOCUMENT = {"accept": "application/json", "mcp-protocol-version": PROTOCOL_VERSION}


def build_message(method: str, number: int | None, **parameters: object) -> bytes:
    """A JSON-RPC request, or a notification without a number."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": parameters}
    return json.dumps(message if number is None else {**message, "id": number}).encode()


INITIALIZE = build_message(
    "initialize",
    1,
    protocolVersion=PROTOCOL_VERSION,
    capabilities={},
    clientInfo={"name": "doorward-doctor", "version": "1"},
)


async def gather_metadata(visit: Visit, sender: Sender) -> None:
    """Knock at the server in every way a client does, and read every place where it may publish something."""
    visit.probes = await send_all(sender, _build_probes(visit.url))
    if not any(seen.status for seen in visit.probes.values()):
        return
    await _read_documents(visit, sender, _resource_urls(visit))
    await _read_documents(visit, sender, [legacy_place(visit.url, place) for place in get_args(LegacyPlace)])
    visit.issuers = _find_issuers(visit)
    await _read_documents(visit, sender, _issuer_urls(visit))
    visit.agents = await _try_agents(visit, sender)
    unknown = f"{origin_of(visit.url)}/.well-known/doorward-doctor-unknown"
    visit.unknown = await sender.send(Ask("GET", unknown, _DOCUMENT))


async def gather_endpoints(visit: Visit, sender: Sender) -> Discovered | None:
    """What the endpoints say to anybody, and to pages of other origins; what the doctor itself works with."""
    if not visit.documents:
        return None
    if not visit.issuers:
        guessed = Ask("POST", f"{origin_of(visit.url)}/register", _JSON, b"{}")
        visit.endpoints["guessed-register"] = await sender.send(guessed)
        _note_registration(visit, visit.endpoints["guessed-register"])
    try:
        found = discover(LENIENT, visit)
    except Stopped:
        found = None
    if found is not None:
        named = {name: text_of(found.metadata, name) for name in ("authorization_endpoint", "jwks_uri")}
        asks = {name: Ask("GET", url) for name, url in named.items() if url and is_usable(visit, url)}
        visit.endpoints |= await send_all(sender, asks)
    await _cross_origins(visit, sender, found)
    return found


async def _try_agents(visit: Visit, sender: Sender) -> dict[str, list[Seen]]:
    """Ask by the name of each client, as a firewall sees it; the doctor's own is empty here. Spec: clients.md no. 63"""
    names = ["", *dict.fromkeys(agent for profile in visit.profiles for agent in profile.user_agents)]
    place = resource_place(visit.url, "path")
    asks = {}
    for name in names:
        agent = {"user-agent": name} if name else {}
        asks[name, "server"] = Ask("POST", visit.url, {**_JSON, **agent}, INITIALIZE)
        asks[name, "metadata"] = Ask("GET", place, {**_DOCUMENT, **agent})
    seen = await send_all(sender, asks)
    return {name: [seen[name, "server"], seen[name, "metadata"]] for name in names}


def _build_probes(url: str) -> dict[str, Ask]:
    bearer = {**_JSON, "authorization": f"Bearer {NO_TOKEN}"}
    return {
        "POST": Ask("POST", url, _JSON, INITIALIZE),
        "GET": Ask("GET", url, {"accept": "application/json, text/event-stream"}),
        "HEAD": Ask("HEAD", url, {"accept": "application/json"}),
        "EMPTY": Ask("POST", url, {"accept": "application/json, text/event-stream"}),
        "SLASH": Ask("POST", slash_variant(url), _JSON, INITIALIZE),
        "GARBAGE": Ask("POST", url, bearer, INITIALIZE),
    }


def _resource_urls(visit: Visit) -> list[str]:
    """Every address where the resource's metadata may be, for the URL as given and with the other slash."""
    named = (visit.challenge_url(probe) for probe in visit.probes)
    urls = [join(visit.url, url) for url in named if url]
    for place in get_args(ResourcePlace):
        urls += [resource_place(visit.url, place), resource_place(visit.url, place, keeps_slash=True)]
    urls.append(resource_place(slash_variant(visit.url), "path", keeps_slash=True))
    return urls


def _find_issuers(visit: Visit) -> tuple[str, ...]:
    documents = [seen.document for seen in visit.documents.values() if seen.status == 200]
    named = [issuer for document in documents for issuer in strings_of(document, "authorization_servers")]
    return tuple(dict.fromkeys(issuer for issuer in named if is_absolute(issuer)))[:MAX_ISSUERS]


def _issuer_urls(visit: Visit) -> list[str]:
    """Every address where the metadata of the issuers may be, and the root of each, where some look for it."""
    urls = []
    for issuer in visit.issuers:
        urls += [metadata_place(issuer, place) for place in get_args(MetadataPlace)]
        urls.append(metadata_place(origin_of(issuer), "oauth"))
    return urls


async def _read_documents(visit: Visit, sender: Sender, urls: Iterable[str]) -> None:
    """GET each once, and the targets of redirects inside its origin beside it."""
    waiting = list(dict.fromkeys(url for url in urls if url))
    for _ in range(MAX_REDIRECTS + 1):
        asks = {url: Ask("GET", url, _DOCUMENT) for url in waiting if url not in visit.documents}
        found = await send_all(sender, asks)
        visit.documents |= found
        targets = (seen.location for seen in found.values() if origin_of(seen.location) == origin_of(seen.url))
        waiting = list(dict.fromkeys(targets))


async def _cross_origins(visit: Visit, sender: Sender, found: Discovered | None) -> None:
    """Ask as a browser does for a page of another origin."""
    for name, ask in _build_crossings(visit, found).items():
        _, method, headers = NAMES[name]
        wanted = {"access-control-request-headers": ", ".join(headers)} if headers else {}
        preflight = Ask("OPTIONS", ask.url, {"origin": ORIGIN, "access-control-request-method": method, **wanted})
        answers = await send_all(sender, {"preflight": preflight, "actual": ask})
        visit.crossings[name] = Crossing(answers["preflight"], answers["actual"])
        if name == "register":
            _note_registration(visit, answers["actual"])


def _note_registration(visit: Visit, seen: Seen) -> None:
    """Nobody should register what says nothing of itself; where somebody does, it is removed and told as any other."""
    registered = Registered((), {}, seen)
    if registered.client_id:
        visit.unmeant.append(registered)


def _build_crossings(visit: Visit, found: Discovered | None) -> dict[str, Ask]:
    asks = {"challenge": Ask("POST", visit.url, {**_JSON, "origin": ORIGIN}, INITIALIZE)}
    resource = next((url for url in _resource_urls(visit) if _is_document(visit, url)), "")
    if resource:
        asks["resource-metadata"] = Ask("GET", resource, {"accept": "application/json", "origin": ORIGIN})
    server = next((url for url in _issuer_urls(visit) if _is_document(visit, url)), "")
    if server:
        asks["issuer-metadata"] = Ask("GET", server, {"accept": "application/json", "origin": ORIGIN})
    form = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN}
    for name, member, headers, body in (
        ("register", "registration_endpoint", {**_JSON, "origin": ORIGIN}, b"{}"),
        ("token", "token_endpoint", form, b"grant_type=authorization_code"),
    ):
        url = text_of(found.metadata, member) if found is not None else ""
        if url and is_usable(visit, url):
            asks[name] = Ask("POST", url, headers, body)
    return asks


def _is_document(visit: Visit, url: str) -> bool:
    seen = visit.get(url)
    return seen is not None and seen.status == 200 and seen.document is not None
