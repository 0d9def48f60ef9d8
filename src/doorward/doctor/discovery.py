"""The way of a client from its first request to the metadata of an authorization server, over what was seen.

Nothing is asked here: a client's habits decide which of the answers it would have got, and which of them ends its way.

Spec: PRM-16, PRM-17, ASM-19 … ASM-21; clients.md §1b, §1d
"""

from dataclasses import dataclass
from typing import Any

from .places import join, legacy_place, metadata_place, origin_of, resource_place
from .profiles import Profile, ResourcePlace
from .rules import (
    RelativeAddress,
    is_absolute,
    issuer_fits,
    missing_openid_members,
    nulls_of,
    read_challenge,
    resource_fits,
    strings_of,
    text_of,
)
from .visits import Seen, Visit

CHALLENGE = "Challenge"
RESOURCE = "Resource metadata"
SERVER = "Server metadata"
REGISTRATION = "Registration"
AUTHORIZATION = "Authorization"
TOKEN = "Token"
LOGIN = "Login"
BROWSER = "Browser"
CONNECTION = "Connection"
PLACES: tuple[ResourcePlace, ...] = ("path", "appended", "root")


class Stopped(Exception):  # noqa: N818  # it names what happened
    """A client's way ended: at which step, and by which checks."""

    def __init__(self, stage: str, *because: str) -> None:
        super().__init__(stage)
        self.stage = stage
        self.because = because


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a client works with. Without resource metadata `resource` is None and `issuer` empty."""

    resource: dict[str, Any] | None
    issuer: str
    metadata: dict[str, Any]


def discover(profile: Profile, visit: Visit) -> Discovered:
    """What this client finds. Raises `Stopped`."""
    _contact(profile, visit)
    found, unread = _find_resource(profile, visit)
    if found is None:
        return Discovered(None, "", _find_legacy(profile, visit, unread))
    issuers = strings_of(found, "authorization_servers")
    if not issuers:
        raise Stopped(RESOURCE, "resource-metadata-issuers")
    return Discovered(found, issuers[0], _find_server(profile, visit, issuers[0]))


def _contact(profile: Profile, visit: Visit) -> None:
    seen = visit.probes.get(profile.first)
    if seen is None or not seen.status:
        raise Stopped(CHALLENGE, "tls-certificate" if seen is not None and seen.is_untrusted else "reachable")
    if any(map(visit.is_refused, profile.user_agents)):
        raise Stopped(CHALLENGE, "user-agents")
    if seen.location and origin_of(seen.location) != origin_of(visit.url):
        raise Stopped(CHALLENGE, "mcp-redirect")
    if profile.needs_401 and seen.status == 403:
        raise Stopped(CHALLENGE, "challenge-forbidden")
    if profile.needs_401 and seen.status != 401 and not seen.location:
        first = "POST" if visit.is_elsewhere else profile.first  # of the one cause that is told
        raise Stopped(CHALLENGE, f"unauthorized-{first.lower()}")


def _find_resource(profile: Profile, visit: Visit) -> tuple[dict[str, Any] | None, list[str]]:
    """The resource metadata, or None and the checks that tell why there is none for this client."""
    try:
        challenge = read_challenge(profile, visit.challenge_fields(profile.first), visit.url)
    except RelativeAddress:
        raise Stopped(RESOURCE, "challenge-metadata-absolute") from None
    only = profile.challenge_only and bool(challenge)
    errors: list[str] = []
    for place in profile.resource_places:
        url = challenge if place == "challenge" else resource_place(visit.url, place, keeps_slash=profile.keeps_slash)
        seen = visit.get(url, follows=profile.follows_redirects) if url and (place == "challenge" or not only) else None
        if seen is None:
            continue
        if _is_error(seen):
            check = "resource-metadata-errors" if seen.status or place != "challenge" else "resource-metadata-challenge"
            if profile.on_error == "stops":
                raise Stopped(RESOURCE, check)
            errors.append(check)
            if profile.on_error == "legacy":
                break
        elif seen.status == 200 and seen.document is not None:
            _check_resource(profile, visit, seen.document, at_root=place == "root")
            return seen.document, []
    return None, errors or [_why_not_found(profile, visit, challenge)]


def resource_documents(visit: Visit) -> dict[str, Seen]:
    """The places for the URL as given that have a document about some resource, by what they are called."""
    named = visit.challenge_url()
    urls = {"challenge": join(visit.url, named) if named else ""}
    urls |= {place: resource_place(visit.url, place) for place in PLACES}
    urls["slash"] = resource_place(visit.url, "path", keeps_slash=True)
    found = {place: visit.get(url) for place, url in urls.items() if url}
    return {
        place: seen
        for place, seen in found.items()
        if seen is not None and seen.status == 200 and "resource" in (seen.document or {})
    }


def _is_error(seen: Seen) -> bool:
    return seen.status == 429 or seen.status >= 500 or not seen.status


def _why_not_found(profile: Profile, visit: Visit, challenge: str) -> str:
    """The check that tells why this client has no metadata of the resource."""
    if not resource_documents(visit):
        return "resource-metadata-found"
    if profile.challenge == "ignored":
        return "resource-metadata-path"
    if challenge:
        return "resource-metadata-challenge"
    fields = visit.challenge_fields(profile.first)
    if not fields:
        first = visit.probes.get(profile.first)
        is_told = first is not None and first.status == 401
        return "challenge-bearer" if is_told and profile.first == "POST" else "resource-metadata-path"
    return _why_unread(profile, visit, fields)


def _why_unread(profile: Profile, visit: Visit, fields: list[str]) -> str:
    """The check of the challenge's form that kept this client from reading it."""
    named = visit.challenge_url(profile.first)
    if not named:
        return "challenge-metadata"
    if not is_absolute(named):
        return "challenge-metadata-absolute"
    if profile.same_origin_challenge and origin_of(named) != origin_of(visit.url):
        return "challenge-metadata-origin"
    if profile.quoted_only and f'="{named}"' not in " ".join(fields):
        return "challenge-quoted"
    return "challenge-scheme-spelling" if profile.case_sensitive else "challenge-order"


def _check_resource(profile: Profile, visit: Visit, document: dict[str, Any], *, at_root: bool) -> None:
    if "metadata" in profile.refuses_nulls and nulls_of(document):
        raise Stopped(RESOURCE, "resource-metadata-nulls")
    if "resource" not in document and not resource_documents(visit):
        raise Stopped(RESOURCE, "resource-metadata-found")
    if not resource_fits(profile.resource_rule, visit.url, text_of(document, "resource"), at_root=at_root):
        raise Stopped(RESOURCE, "resource-equals-url")


def _find_legacy(profile: Profile, visit: Visit, unread: list[str]) -> dict[str, Any]:
    """Metadata of the server's own origin, or endpoints that are guessed. Spec: 2025-03-26; clients.md no. 59"""
    for place in profile.legacy:
        seen = visit.get(legacy_place(visit.url, place), follows=profile.follows_redirects)
        document = seen.document if seen is not None and seen.status == 200 else None
        if document is not None and text_of(document, "authorization_endpoint"):
            if "metadata" in profile.refuses_nulls and nulls_of(document):
                raise Stopped(SERVER, "metadata-nulls")
            return document
    if not profile.resource_places:
        raise Stopped(SERVER, "legacy-metadata")
    if not profile.default_endpoints:
        raise Stopped(RESOURCE, *unread)
    guessed = visit.endpoints.get("guessed-register")
    if guessed is None or guessed.status in (0, 404, 405):
        raise Stopped(REGISTRATION, *unread)
    origin = origin_of(visit.url)
    return {f"{name}_endpoint": f"{origin}/{path}" for name, path in _GUESSED.items()}


_GUESSED = {"authorization": "authorize", "token": "token", "registration": "register"}


def _find_server(profile: Profile, visit: Visit, issuer: str) -> dict[str, Any]:
    for place in profile.metadata_places:
        seen = visit.get(metadata_place(issuer, place), follows=profile.follows_redirects)
        if seen is None:
            continue
        if profile.stops_at_5xx and seen.status >= 500 and seen.status != 502:
            raise Stopped(SERVER, "metadata-errors")
        if seen.status == 200 and seen.document is not None:
            _check_metadata(profile, seen.document, issuer, is_openid=place != "oauth")
            return seen.document
    raise Stopped(SERVER, "metadata-found")


def _check_metadata(profile: Profile, document: dict[str, Any], issuer: str, *, is_openid: bool) -> None:
    if "metadata" in profile.refuses_nulls and nulls_of(document):
        raise Stopped(SERVER, "metadata-nulls")
    if is_openid and profile.needs_openid_members and missing_openid_members(document):
        raise Stopped(SERVER, "metadata-openid")
    if not issuer_fits(profile.issuer_rule, issuer, document.get("issuer")):
        raise Stopped(SERVER, "metadata-issuer")
    if not text_of(document, "authorization_endpoint") or not text_of(document, "token_endpoint"):
        raise Stopped(SERVER, "metadata-endpoints")
