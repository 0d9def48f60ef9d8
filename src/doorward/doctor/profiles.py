"""How known MCP clients get themselves in: dated data, shipped with the release, as typed values.

`profiles.json` holds what the checks need of the records of released clients (requests that were recorded, source that
was read, captures of others; `evidence` says which). A profile that is built on another's code is `like` it and says
only what differs.

Spec: product.md, feature 2; clients.md §1a … §1e
"""

import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Evidence = Literal["recorded", "code", "secondary"]
FirstRequest = Literal["POST", "GET", "HEAD", "EMPTY"]
ChallengeReading = Literal["any", "first", "last", "ignored"]
RelativeChallenge = Literal["ignored", "resolved", "stops"]
ResourcePlace = Literal["challenge", "path", "appended", "root"]
OnError = Literal["next", "legacy", "stops"]
ResourceRule = Literal["covers", "either-slash", "exact", "identical", "any"]
IssuerRule = Literal["exact", "missing-slash", "either-slash", "ignored"]
MetadataPlace = Literal["oauth", "openid", "openid-appended"]
LegacyPlace = Literal["oauth-root", "openid-root", "oauth-path", "openid-path", "openid-appended"]
Nullable = Literal["metadata", "registration", "token"]
IssRule = Literal["exact", "required", "advertised", "ignored"]
ResourceSent = Literal["metadata", "url", "canonical", "with-slash", "none"]

PORT = "49321"
"""The loopback port that stands for the one a client is given by its machine."""
OTHER_PORT = "49322"


@dataclass(frozen=True, slots=True)
class Profile:
    """The habits of one client. Where nothing is said, it does what the specification says."""

    id: str
    name: str
    version: str
    evidence: Evidence
    registration: dict[str, Any]
    """The body it registers with; `{port}` and `{scope}` are filled in when it does."""
    first: FirstRequest = "POST"
    """Its first request to the server; EMPTY is a POST without a body."""
    needs_401: bool = True
    """Whether anything but 401 to that request ends its way."""
    challenge: ChallengeReading = "any"
    """Which challenge it reads: a Bearer one anywhere, one that is first of all, first in the last field, none."""
    relative_challenge: RelativeChallenge = "ignored"
    quoted_only: bool = False
    case_sensitive: bool = False
    same_origin_challenge: bool = False
    challenge_only: bool = False
    """Whether no other place is tried once the challenge named one."""
    resource_places: tuple[ResourcePlace, ...] = ("challenge", "path", "root")
    keeps_slash: bool = False
    """Whether a slash at the end of the URL stays in the well-known address."""
    on_error: OnError = "next"
    """What 429 or 5xx at a place of the resource metadata leads to."""
    resource_rule: ResourceRule = "covers"
    """`exact` lets a document of the root name the origin, `identical` nothing but the URL itself."""
    needs_resource_scopes: bool = False
    metadata_places: tuple[MetadataPlace, ...] = ("oauth", "openid", "openid-appended")
    legacy: tuple[LegacyPlace, ...] = ("oauth-root", "openid-root")
    """Where it looks for an authorization server when there is no resource metadata, on the server's own origin."""
    default_endpoints: bool = True
    """Whether it tries /authorize, /token and /register where nothing is published at all."""
    issuer_rule: IssuerRule = "exact"
    stops_at_5xx: bool = False
    follows_redirects: bool = True
    needs_pkce: bool = False
    needs_openid_members: bool = False
    refuses_nulls: tuple[Nullable, ...] = ()
    document: str = ""
    """The address of its client metadata document, which is its client id; empty when it has none."""
    document_needs: tuple[Literal["none"], ...] = ()
    """What the server must say besides the flag before it uses its document."""
    document_method: str = "none"
    """How it proves itself at the token endpoint with its document."""
    document_redirect: str = ""
    registration_needs: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    """The redirects it asks for at the authorization endpoint; those of its registration where nothing is said."""
    scope: str = "challenge"
    """What it asks for: the scopes of the `challenge`, all of the `resource`, all of the `server`, or these words."""
    offline_access: bool = False
    resource_sent: ResourceSent = "metadata"
    iss: IssRule = "exact"
    expires_in_number: bool = False
    starts_over: bool = False
    """Whether any refusal at the token endpoint makes it begin again, and not an error code that it understands."""
    user_agents: tuple[str, ...] = ()
    """What it calls itself in its requests, where that was recorded."""
    in_browser: bool = False
    has_proxy: bool = False
    """Whether it has a way around what a browser keeps from its page, which a person has to choose."""
    drops_token_on_redirect: bool = False

    @property
    def registered_redirects(self) -> tuple[str, ...]:
        return tuple(fill_port(uri) for uri in self.registration["redirect_uris"])

    @property
    def used_redirects(self) -> tuple[str, ...]:
        """What it sends as `redirect_uri` after it registered."""
        return tuple(map(fill_port, self.redirect_uris)) or self.registered_redirects[:1]

    @property
    def published_redirect(self) -> str:
        """The redirect URI as its document has it: without a port where its machine gives one."""
        return (self.document_redirect or self.registration["redirect_uris"][0]).replace(":{port}", "")

    @property
    def redirect_of_document(self) -> str:
        """What it sends as `redirect_uri` with its document."""
        return fill_port(self.document_redirect or self.registration["redirect_uris"][0])

    def registration_body(self, scope: str) -> dict[str, Any]:
        """What it registers with when `scope` is what it would ask for; without that member where it is empty."""
        filled = {name: _fill(value, scope) for name, value in self.registration.items()}
        return {name: value for name, value in filled.items() if not (name == "scope" and not value)}


LENIENT = Profile(
    id="doctor",
    name="The doctor itself",
    version="",
    evidence="code",
    registration={"redirect_uris": ["http://127.0.0.1:{port}/callback"]},
    needs_401=False,
    relative_challenge="resolved",
    resource_places=("challenge", "path", "appended", "root"),
    resource_rule="any",
    legacy=("oauth-root", "openid-root", "oauth-path", "openid-path", "openid-appended"),
    issuer_rule="ignored",
)
"""Whoever takes everything that anybody takes: so that one fault does not hide the next."""


def fill_port(uri: str, port: str = PORT) -> str:
    """`uri` with a port where the client is given one by its machine."""
    return uri.replace("{port}", port)


@cache
def known_profiles() -> tuple[Profile, ...]:
    """Every client the doctor plays."""
    text = (files("doorward.doctor") / "profiles.json").read_text(encoding="utf-8")
    entries = {entry["id"]: entry for entry in json.loads(text)["profiles"]}
    return tuple(_build(_inherit(entry, entries)) for entry in entries.values())


def find_profile(profile_id: str) -> Profile:
    """The profile of that id. Raises `KeyError`."""
    return {profile.id: profile for profile in known_profiles()}[profile_id]


_CHOICES = {
    "evidence": get_args(Evidence),
    "first": get_args(FirstRequest),
    "challenge": get_args(ChallengeReading),
    "relative_challenge": get_args(RelativeChallenge),
    "resource_places": get_args(ResourcePlace),
    "on_error": get_args(OnError),
    "resource_rule": get_args(ResourceRule),
    "issuer_rule": get_args(IssuerRule),
    "metadata_places": get_args(MetadataPlace),
    "legacy": get_args(LegacyPlace),
    "refuses_nulls": get_args(Nullable),
    "document_needs": ("none",),
    "resource_sent": get_args(ResourceSent),
    "iss": get_args(IssRule),
}


def _inherit(entry: dict[str, Any], entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    like = entry.get("like")
    base = _inherit(entries[like], entries) if like else {}
    return {**base, **{name: value for name, value in entry.items() if name != "like"}}


def _build(entry: dict[str, Any]) -> Profile:
    unknown = entry.keys() - {one.name for one in fields(Profile)}
    if unknown:
        raise ValueError(f"{entry['id']} has members that nobody reads: {sorted(unknown)}")
    for name, choices in _CHOICES.items():
        said = entry.get(name, ())
        for word in [said] if isinstance(said, str) else said:
            if word not in choices:
                raise ValueError(f"{entry['id']}: {name} cannot be {word!r}")
    members: dict[str, Any] = {}
    for name, value in entry.items():
        members[name] = tuple(value) if isinstance(value, list) else value
    return Profile(**members)


def _fill(value: Any, scope: str) -> Any:
    if isinstance(value, str):
        return fill_port(value).replace("{scope}", scope)
    return [_fill(item, scope) for item in value] if isinstance(value, list) else value
