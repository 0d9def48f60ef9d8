"""One client from registration to refreshed tokens, sending what the notes say it sends, in its order.

`walks.json` fills in what the notes leave open: the app's own name and addresses, the port of the day, the scopes it
was told of. What the notes give is sent as they give it.
"""

import json
import re
import secrets
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from doorward.manage import clients
from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.pkce import build_challenge
from tests.inside import RESOURCE, Answer, Door
from tests.person import answer_parameters
from tests.registration.field.facts import (
    HERE,
    document_evidence,
    evidence,
    leaf,
    read_documents,
    read_profiles,
    sent_parameters,
)
from tests.registration.site import Site
from tests.registration.test_assertions import KEYS, jwks, sign
from tests.server.steps import REGISTER, TOKEN, basic, set_project, success

METADATA = "/.well-known/oauth-authorization-server"
_OPEN = re.compile(r"[<>{}|(]|^as given$|^inferred\b|^negotiated$| from | then | or |, then|^first of")
"""What marks a value in the notes as described and not given."""
_HOLE = re.compile(r"(<[^>]*>|\{[^}]*\})")


@dataclass(frozen=True)
class Walk:
    """A line of `walks.json`."""

    of: str
    members: dict[str, Any]

    @property
    def name(self) -> str:
        return "/".join(filter(None, (self.of, self.members.get("as", ""))))

    @property
    def by(self) -> str:
        return str(self.members["by"])

    @property
    def is_inferred(self) -> bool:
        """Whether what it registers is a guess in the notes, or ours where they have nothing."""
        if self.by == "manual":
            return False
        if self.by == "dcr":
            return "inferred" in evidence(self.of, "registration", "dcr_body")
        published = self.members.get("client_id")
        if published is not None:
            return "inferred" in document_evidence(published)
        return "registration" not in read_profiles()[self.of]

    @property
    def fixed_document(self) -> str | None:
        """The document that this client has wherever it is installed; an application's own is none."""
        cimd = leaf(self.of, "registration", "cimd") or {}
        client_id = str(cimd.get("client_id", cimd.get("client_id_stable", "")))
        return client_id if client_id.startswith("https://") else None

    def get(self, name: str, default: Any = None) -> Any:
        return self.members.get(name, default)

    def drops(self, section: str) -> list[str]:
        """Parameters that some builds are known to leave out."""
        dropped: list[str] = self.members.get("drop", {}).get(section, [])
        return dropped


@dataclass
class Walked:
    """Everything that was sent and answered."""

    metadata: dict[str, Any] = field(default_factory=dict)
    sent: dict[str, Any] = field(default_factory=dict)
    """The registration's body, or the document."""
    made: dict[str, Any] = field(default_factory=dict)
    registrations: list[Answer] = field(default_factory=list)
    request: dict[str, str] = field(default_factory=dict)
    looks: list[Answer] = field(default_factory=list)
    target: str = ""
    answered: dict[str, str] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    tokens: list[dict[str, Any]] = field(default_factory=list)


@cache
def read_walks() -> tuple[Walk, ...]:
    return tuple(Walk(line["of"], line) for line in json.loads((HERE / "walks.json").read_text(encoding="utf-8")))


def is_open(value: Any) -> bool:
    """Whether the notes describe a value without giving it."""
    if isinstance(value, list):
        return any(map(is_open, value))
    return isinstance(value, str) and _OPEN.search(value) is not None


def fits(given: Any, noted: Any) -> bool:
    """Whether a value is one of those that the notes describe; a description in words fits everything."""
    if isinstance(noted, list) and isinstance(given, list):
        return all(any(fits(each, pattern) for pattern in noted) for each in given)
    if not isinstance(noted, str) or not isinstance(given, str) or not _HOLE.search(noted):
        return True
    parts = _HOLE.split(noted)
    return (
        re.fullmatch("".join(".*" if _HOLE.fullmatch(part) else re.escape(part) for part in parts), given) is not None
    )


def build_body(walk: Walk, metadata: dict[str, Any]) -> dict[str, Any]:
    """The registration as the notes have it, its holes filled."""
    noted = leaf(walk.of, "registration", "dcr_body")
    if noted is None or "body" in walk.members:
        return dict(walk.members["body"])
    fill, changed = walk.get("fill", {}), walk.get("changed", {})
    body: dict[str, Any] = {}
    for name, value in noted.items():
        if name.startswith("<"):
            body |= walk.members["given"]
        elif name in changed:
            body[name] = changed[name]
        elif not is_open(value):
            assert name not in fill, f"{name} is noted, and not to be filled in"
            body[name] = value
        elif fill[name] is not None:
            assert fits(fill[name], value), (name, value)
            body[name] = fill[name]
    if not any(name.startswith("<") for name in noted):
        body |= walk.get("given", {})
    return {name: _resolve(value, walk, metadata) for name, value in body.items()}


def _resolve(value: Any, walk: Walk, metadata: dict[str, Any]) -> Any:
    if value == "{response_types_supported}":
        return metadata["response_types_supported"]
    if value == "{method}":
        offered = metadata["token_endpoint_auth_methods_supported"]
        order = walk.members["method_order"]
        return offered[0] if order == ["{first}"] else next(method for method in order if method in offered)
    return value


def choose(walk: Walk, metadata: dict[str, Any]) -> str:
    """The way that the client goes by its own order, with what it was given and what the server says of itself."""
    order = walk.get("order") or leaf(walk.of, "registration", "order") or [walk.by.replace("document", "cimd")]
    has_document = walk.fixed_document is not None or walk.by == "document"
    for step in order:
        words = step.lower()
        if "cimd" in words.split()[0]:
            methods = metadata["token_endpoint_auth_methods_supported"]
            if has_document and metadata.get("client_id_metadata_document_supported") is True and "none" in methods:
                return "document"
        elif re.match(r"dcr|dynamic", words):
            if walk.by != "manual" and metadata.get("registration_endpoint"):
                return "dcr"
        elif walk.by == "manual" and not words.startswith("stored"):
            return "manual"
    raise AssertionError(f"{walk.name} finds no way in")


class Walker:
    """A client on its way."""

    def __init__(self, door: Door, site: Site, walk: Walk) -> None:
        self.door = door
        self.site = site
        self.walk = walk
        self.seen = Walked()
        self._verifier = secrets.token_urlsafe(96)[: leaf(walk.of, "authorize", "pkce_verifier_len") or 43]

    async def go(self) -> Walked:
        """The whole way, as far as this client goes."""
        await self.become_known()
        await self.authorize()
        await self.redeem()
        if self.walk.get("refreshes", True):
            for _ in range(2):
                await self.refresh()
        return self.seen

    async def become_known(self) -> None:
        """Register in the way that comes first for this client; where it would use its document, that is off."""
        walk, seen = self.walk, self.seen
        if walk.by == "dcr" and walk.fixed_document is not None:
            await set_project(self.door, documents=False)
        seen.metadata = (await self.door.call("GET", METADATA)).json()
        assert choose(walk, seen.metadata) == walk.by
        if walk.by == "manual":
            given = walk.members["client"]
            confidential = given.get("confidential", False)
            client, secret = await clients.add(
                self.door.operator, self.door.project, tuple(given["redirect_uris"]), confidential=confidential
            )
            seen.sent = given
            seen.made = {"client_id": client.client_id, **({"client_secret": secret} if secret else {})}
        elif walk.by == "document":
            seen.sent = self._build_document()
            path = walk.get("path") or "/" + walk.get("client_id", "https://app.example/client.json").split("/", 3)[3]
            seen.made = {"client_id": self.site.publish(path, **seen.sent)}
        else:
            seen.sent = build_body(walk, seen.metadata)
            seen.made = await self.register()

    async def register(self) -> dict[str, Any]:
        """Send the registration once more."""
        path = self.seen.metadata["registration_endpoint"].removeprefix(self.seen.metadata["issuer"])
        assert path == REGISTER
        answer = await self.door.post_json(path, self.seen.sent)
        self.seen.registrations.append(answer)
        assert answer.status == 201, answer.body
        return answer.json()

    async def authorize(self) -> None:
        """Ask, look before the browser does, and let a person decide."""
        seen, walk = self.seen, self.walk
        values = {
            "response_type": "code",
            "client_id": seen.made["client_id"],
            "redirect_uri": walk.members["redirect_uri"],
            "state": walk.get("state") or secrets.token_urlsafe(96)[: leaf(walk.of, "authorize", "state_len") or 43],
            "code_challenge": build_challenge(self._verifier),
            "code_challenge_method": "S256",
            "scope": walk.members["scope"],
            "resource": walk.get("resource", RESOURCE),
        }
        for parameter in sent_parameters(walk.of, "authorize"):
            if parameter.name == "prompt" and "offline_access" not in values["scope"]:
                continue
            if parameter.name not in walk.drops("authorize"):
                seen.request[parameter.name] = parameter.value or values[parameter.name]
        if not seen.request.get("scope"):
            seen.request.pop("scope", None)
        url = f"{seen.metadata['authorization_endpoint']}?{urlencode(seen.request, quote_via=quote)}"
        path = url.removeprefix(seen.metadata["issuer"])
        seen.looks.append(await self.door.call("GET", path))
        seen.target = await self.door.person().consent(path)
        seen.answered = answer_parameters(seen.target)

    async def redeem(self) -> None:
        """The code for tokens."""
        await self._ask(
            "token",
            {
                "grant_type": "authorization_code",
                "code": self.seen.answered["code"],
                "redirect_uri": self.walk.members["redirect_uri"],
                "code_verifier": self._verifier,
                "scope": self.walk.members["scope"],
            },
        )

    async def refresh(self) -> None:
        """The newest refresh token for new ones."""
        await self._ask(
            "refresh",
            {
                "grant_type": "refresh_token",
                "refresh_token": self.seen.tokens[-1]["refresh_token"],
                "scope": self.walk.get("refresh_scope", self.walk.members["scope"]),
            },
        )

    async def _ask(self, section: str, values: dict[str, str]) -> None:
        fields, headers = self._identify()
        values = {**values, "resource": self.walk.get("resource", RESOURCE), "client_id": "", "client_secret": ""}
        form: dict[str, str] = {}
        for parameter in sent_parameters(self.walk.of, section):
            if parameter.name in fields:
                form[parameter.name] = fields.pop(parameter.name)
            elif values[parameter.name] and parameter.name not in self.walk.drops(section):
                form[parameter.name] = values[parameter.name]
        form |= fields
        path = self.seen.metadata["token_endpoint"].removeprefix(self.seen.metadata["issuer"])
        assert path == TOKEN
        self.seen.forms.append(form)
        self.seen.headers = headers
        self.seen.tokens.append(success(await self.door.post_form(path, form, headers)))

    def _identify(self) -> tuple[dict[str, str], dict[str, str]]:
        """(form fields, headers) by which this client says who it is, as it does on the wire."""
        client_id, secret = self.seen.made["client_id"], self.seen.made.get("client_secret", "")
        style, kind, named = (*self.walk.members["auth"].split(), "", "")[:3]
        if style == "assertion":
            proof = {
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": sign(self.door, client_id, KEYS[kind]),
            }
            return {**({"client_id": client_id} if named else {}), **proof}, {}
        if style == "basic" and kind == "empty":
            return {}, basic(client_id, "")
        if style == "body" and kind == "empty":
            return {"client_id": client_id, "client_secret": ""}, {}
        if style == "basic" and secret:
            beside = {"client_id": client_id} if kind == "encoded" else {}
            return beside, basic(client_id, secret, encoded=kind == "encoded")
        return {"client_id": client_id, **({"client_secret": secret} if secret else {})}, {}

    def _build_document(self) -> dict[str, Any]:
        noted = self.walk.get("document") or read_documents()[self.walk.members["client_id"]]
        document = {name: value for name, value in noted.items() if name != "client_id"}
        if self.walk.members["auth"].startswith("assertion"):
            key = KEYS[self.walk.members["auth"].split()[1]]
            document.pop("jwks_uri", None)
            document["jwks"] = jwks(key)
        return {"client_name": None, "grant_types": None, **document}
