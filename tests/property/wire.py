"""Requests as bytes, good and bad, and what may come back of them."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from hypothesis import strategies as st

from doorward.core.models import DEVICE_CODE
from doorward.oauth import errors
from doorward.routes import ROUTES
from tests.inside import LOOPBACK, RESOURCE, Door
from tests.server.devices import add_device, ask, enter, offer
from tests.server.pushing import push
from tests.server.steps import VERIFIER, WEB_REDIRECT, basic, confidential, confidential_tokens, project_key

STATUSES = {200, 201, 204, 302, 303, 304, 400, 401, 403, 404, 405, 408, 413, 414, 421, 429, 503}
CODES = {
    *(value for name, value in vars(errors).items() if name.isupper() and not name.startswith("_")),
    "not_found",
    "misdirected_request",
} - {errors.SERVER_ERROR}
_TRACE = re.compile(rb"Traceback|File \"|doorward/|sqlite|apsw", re.IGNORECASE)

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Sent:
    """One request, byte by byte. The body arrives in these pieces; `complete` is False when the peer goes away."""

    method: str
    path: str
    query: bytes = b""
    headers: Headers = field(default_factory=list)
    body: tuple[bytes, ...] = (b"",)
    complete: bool = True


@dataclass(frozen=True)
class Received:
    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Ground:
    """A server with real clients, codes and tokens, so that a search gets past the first check."""

    door: Door
    known: dict[str, str]
    """Real values by the words that stand for them in an example."""
    secrets: tuple[bytes, ...]
    """What no answer may contain, whoever asks."""

    def fill(self, data: bytes) -> bytes:
        """The bytes with the words replaced by what they stand for."""
        for word, value in self.known.items():
            data = data.replace(word.encode(), value.encode())
        return data


async def lay_ground(door: Door) -> Ground:
    """Everything that a request can name."""
    client_id, tokens = await door.tokens()
    secret_client = await confidential(door)
    secret_tokens = await confidential_tokens(door, secret_client)
    person = door.person()
    page = await person.sign_in(await person.open(door.authorization_url(client_id, VERIFIER)))
    code, verifier = await door.obtain_code(client_id, door.person())
    header = basic(secret_client["client_id"], secret_client["client_secret"])["authorization"]
    known = {
        "$client": client_id,
        "$other": secret_client["client_id"],
        "$secret": secret_client["client_secret"],
        "$basic": header,
        "$code": code,
        "$verifier": verifier,
        "$refresh": tokens["refresh_token"],
        "$strict": secret_tokens["refresh_token"],
        "$access": tokens["access_token"],
        "$key": await project_key(door, "register", "introspect"),
        "$csrf": page.forms[0]["csrf"],
        "$flow": page.forms[0]["flow"],
        "$cookies": "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.http.cookies.jar),
    }
    await offer(door)
    known["$station"] = (await add_device(door))["client_id"]
    device = await ask(door, known["$station"])
    await enter(person, device["user_code"])
    known |= {"$shown": device["user_code"], "$asked": device["device_code"]}
    pushed = await push(door, client_id)
    known["$pushed"] = pushed.json()["request_uri"]
    context = door.context
    keys = (context.form_key, context.refresh_tokens.key)
    hidden = [form for key in keys for form in (key, key.hex().encode())]
    return Ground(door, known, (*hidden, (context.settings.data / "master.key").read_bytes()))


async def send(ground: Ground, request: Sent) -> Received:
    """The answer of the server: one, complete, and none of an exception."""
    pieces = [ground.fill(piece) for piece in request.body]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not pieces and not request.complete:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces) or not request.complete}

    async def reply(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": request.method,
        "path": ground.fill(request.path.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass"),
        "query_string": ground.fill(request.query),
        "headers": [(name.lower(), ground.fill(value)) for name, value in request.headers],
        "client": ("203.0.113.9", 50000),
        "scheme": "https",
    }
    await ground.door.app(scope, receive, reply)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return Received(sent[0]["status"], sent[0]["headers"], sent[1].get("body", b""))


def assert_documented(ground: Ground, request: Sent, answer: Received) -> None:
    """A status and a code that the documentation names, and nothing of what is inside."""
    assert answer.status in STATUSES, (request, answer)
    assert not _TRACE.search(answer.body)
    names = [name for name, _ in answer.headers]
    assert len(set(names) - {b"set-cookie"}) == len([name for name in names if name != b"set-cookie"])
    assert all(b"\r" not in part and b"\n" not in part for header in answer.headers for part in header)
    assert not any(secret in answer.body for secret in ground.secrets)
    media = dict(answer.headers).get(b"content-type", b"")
    if media == b"application/json" and answer.body:
        members = json.loads(answer.body)
        if answer.status >= 400:
            assert members["error"] in CODES, members
    elif answer.body:
        assert media.startswith((b"text/html", b"text/css", b"image/svg+xml")), answer.headers


# The building blocks of requests: what is right, what is nearly right, and anything.
WORDS = [
    *(f"${name}" for name in ("client", "other", "secret", "code", "verifier", "refresh", "strict", "access", "pushed"))
]
VALUES = [
    *WORDS,
    *("$key", "$csrf", "$flow", "allow", "deny"),
    *("authorization_code", "refresh_token", "password", "code", "token", "S256", "plain", "query", "none"),
    *(
        RESOURCE,
        f"{RESOURCE}/",
        "https://[",
        "http://[::1",
        "//evil.test",
        "javascript:alert(1)",
        LOOPBACK,
        WEB_REDIRECT,
    ),
    *("tools:read", "tools:read tools:write offline_access", 'a"b', "é", "", "\x00", "\ud800", "x" * 5000, "/account"),
]
NAMES = [
    *("client_id", "client_secret", "grant_type", "code", "code_verifier", "redirect_uri", "refresh_token", "scope"),
    *("resource", "state", "response_type", "response_mode", "code_challenge", "code_challenge_method", "token"),
    *("token_type_hint", "client_assertion", "client_assertion_type", "request", "request_uri", "prompt", "csrf"),
    *(
        "max_age",
        "login_hint",
        "dpop_jkt",
        "authorization_details",
        "flow",
        "decision",
        "email",
        "password",
        "next",
        "name",
        "grant_id",
        "device_code",
        "user_code",
        "x",
        "",
        "é",
    ),
]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X"]
PATHS = [
    *(route.replace("{client_id}", "$client") for route in ROUTES),
    *(f"/p/acme{route}" for route in ("/", "/login", "/api/oauth/token")),
    *("/p/default/login", "/p/", "/p", "/static/", "/static/x", "/static/../x", "/livez", "/readyz", "//", "", "*"),
    *(
        f"{before}/.well-known/{name}{after}"
        for before in ("", "/p/acme", "/x")
        for name in ("oauth-authorization-server", "jwks.json", "oauth-protected-resource", "")
        for after in ("", "/", "/p/acme", "/mcp", "/[", "/é\x00")
    ),
]
MEDIA = [
    b"application/x-www-form-urlencoded",
    b"application/x-www-form-urlencoded; charset=utf-16",
    b"application/json",
    b"application/json;x",
    b"multipart/form-data; boundary=x",
    b"text/plain",
    b"",
    b"\xff",
]
CREDENTIALS = [
    b"$basic",
    b"Basic $client",
    b"Basic OjpY",
    b"Basic \xff",
    b"Bearer $key",
    b"Bearer $access",
    b"Bearer",
    b"Bearer a b",
    b"DPoP x",
    b"",
    b"Digest a=b",
]


def quoted(value: str) -> str:
    return quote_plus(value, errors="surrogatepass", safe="$")


def arbitrary(size: int = 200) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=size)


fields = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=30)), max_size=12)
forms = fields.map(lambda pairs: "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs).encode())
queries = forms | arbitrary() | st.sampled_from([b"&" * 5000, b"a" * 70_000, b"%", b"a=%FF", b"=&=;;", b"\xff=1"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
headers: st.SearchStrategy[Headers] = st.lists(
    st.one_of(
        st.tuples(st.just(b"content-type"), st.sampled_from(MEDIA)),
        st.tuples(st.just(b"authorization"), st.sampled_from(CREDENTIALS) | arbitrary(60)),
        st.tuples(st.just(b"cookie"), st.just(b"$cookies") | arbitrary(60)),
        st.tuples(st.just(b"content-length"), st.sampled_from([b"0", b"-1", b"\xb2", b"9" * 5000, b"1e3", b"70000"])),
        st.tuples(st.just(b"host"), st.sampled_from([b"auth.example.com", b"", b"[", b"evil.test", b"\xff"])),
        st.tuples(st.just(b"origin"), st.sampled_from([b"null", b"https://evil.test", b"\x00"])),
        st.tuples(st.just(b"sec-fetch-site"), st.sampled_from([b"same-origin", b"cross-site", b"\xff"])),
        st.tuples(st.just(b"if-none-match"), arbitrary(20)),
        st.tuples(st.just(b"transfer-encoding"), st.sampled_from([b"chunked", b"gzip", b"chunked, chunked"])),
        st.tuples(st.just(b"user-agent"), arbitrary(20)),
        st.tuples(st.just(b"x-forwarded-for"), arbitrary(20)),
        st.tuples(st.sampled_from([b"accept", b"range", b"te", b"x"]), arbitrary(20)),
    ),
    max_size=6,
)
bodies = st.one_of(
    forms.map(lambda form: (form,)),
    json_values.map(lambda value: (json.dumps(value).encode(),)),
    st.lists(arbitrary(), max_size=4).map(tuple),
    st.sampled_from([(b"x" * 70_000,), (b"[" * 60_000,), (b'{"a":' * 9000,), (b"x" * 40_000, b"x" * 40_000)]),
)
requests = st.builds(
    Sent,
    method=st.sampled_from(METHODS) | st.text(st.characters(codec="ascii", categories=["Lu"]), min_size=1, max_size=8),
    path=st.sampled_from(PATHS) | st.text(max_size=30).map("/".__add__),
    query=queries,
    headers=headers,
    body=bodies,
    complete=st.sampled_from([True, True, True, False]),
)

# Requests that are right, to be changed in a place or two: so a search sees what lies behind every check.
Pairs = list[tuple[str, str]]
FORM = (b"content-type", b"application/x-www-form-urlencoded")
_BROWSER: Headers = [(b"cookie", b"$cookies")]
RIGHT: dict[str, tuple[str, Headers, Pairs]] = {
    "code": (
        "/api/oauth/token",
        [],
        [
            ("grant_type", "authorization_code"),
            ("client_id", "$client"),
            ("code", "$code"),
            ("code_verifier", "$verifier"),
            ("redirect_uri", LOOPBACK),
        ],
    ),
    "refresh": (
        "/api/oauth/token",
        [],
        [
            ("grant_type", "refresh_token"),
            ("client_id", "$client"),
            ("refresh_token", "$refresh"),
            ("scope", "tools:read"),
        ],
    ),
    "strict refresh": (
        "/api/oauth/token",
        [(b"authorization", b"$basic")],
        [("grant_type", "refresh_token"), ("refresh_token", "$strict")],
    ),
    "device": ("/api/oauth/device", [], [("client_id", "$station"), ("scope", "tools:read"), ("resource", RESOURCE)]),
    "device's question": (
        "/api/oauth/token",
        [],
        [("grant_type", DEVICE_CODE), ("client_id", "$station"), ("device_code", "$asked")],
    ),
    "device's code": ("/device", _BROWSER, [("csrf", "$csrf"), ("user_code", "$shown")]),
    "decision on a device": (
        "/device/decide",
        _BROWSER,
        [("csrf", "$csrf"), ("user_code", "$shown"), ("decision", "allow")],
    ),
    "revocation": ("/api/oauth/revoke", [], [("client_id", "$client"), ("token", "$access")]),
    "introspection": ("/api/oauth/introspect", [(b"authorization", b"Bearer $key")], [("token", "$access")]),
    "authorization": (
        "/oauth/authorize",
        _BROWSER,
        [
            ("response_type", "code"),
            ("client_id", "$client"),
            ("redirect_uri", LOOPBACK),
            ("code_challenge", "c" * 43),
            ("code_challenge_method", "S256"),
            ("state", "s"),
            ("resource", RESOURCE),
            ("scope", "tools:read"),
        ],
    ),
    "push": (
        "/api/oauth/par",
        [],
        [
            ("response_type", "code"),
            ("client_id", "$client"),
            ("redirect_uri", LOOPBACK),
            ("code_challenge", "c" * 43),
            ("code_challenge_method", "S256"),
            ("resource", RESOURCE),
            ("prompt", "login"),
            ("max_age", "60"),
            ("dpop_jkt", "j" * 43),
        ],
    ),
    "pushed": ("/oauth/authorize", _BROWSER, [("client_id", "$client"), ("request_uri", "$pushed")]),
    "consent": ("/oauth/consent", _BROWSER, [("csrf", "$csrf"), ("flow", "$flow"), ("decision", "allow")]),
    "sign-in": (
        "/login",
        _BROWSER,
        [("csrf", "$csrf"), ("email", "ada@example.com"), ("password", "x"), ("next", "/account")],
    ),
    "taking back": ("/account/connections/revoke", _BROWSER, [("csrf", "$csrf"), ("grant_id", "grt_x")]),
}
METADATA: dict[str, Any] = {
    "redirect_uris": [LOOPBACK],
    "client_name": "Client",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_post",
    "application_type": "web",
    "scope": "tools:read",
    "contacts": ["a@b.cd"],
    "client_uri": "https://client.example.com",
    "software_id": "x",
}
hostile = st.sampled_from(VALUES) | st.text(max_size=30)


@st.composite
def nearly_right(draw: st.DrawFn) -> Sent:
    """A right request with up to three changes."""
    path, given, right = RIGHT[draw(st.sampled_from(sorted(RIGHT)))]
    pairs = list(right)
    for change in draw(st.lists(st.sampled_from(["drop", "set", "double", "add"]), max_size=3)):
        place = draw(st.integers(0, max(len(pairs) - 1, 0)))
        if change == "add" or not pairs:
            pairs.append((draw(st.sampled_from(NAMES)), draw(hostile)))
        elif change == "drop":
            del pairs[place]
        else:
            changed = (pairs[place][0], draw(hostile))
            pairs[place : place + (change == "set")] = [changed]
    encoded = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs).encode()
    if path == "/oauth/authorize" and draw(st.booleans()):
        return Sent("GET", path, encoded, given)
    return Sent("POST", path, headers=[FORM, *given], body=(encoded,))


@st.composite
def nearly_right_registrations(draw: st.DrawFn) -> Sent:
    """A right registration with some members changed, added or gone."""
    members = dict(METADATA)
    for name in draw(st.lists(st.sampled_from(sorted(METADATA)), max_size=4, unique=True)):
        members[name] = draw(json_values | st.lists(hostile, max_size=3))
    for name in draw(
        st.lists(st.sampled_from([*METADATA, "jwks", "jwks_uri", "software_statement", "logo_uri"]), max_size=2)
    ):
        members.pop(name, None)
        members[draw(hostile)] = draw(json_values)
    return Sent(
        "POST",
        "/api/oauth/register",
        headers=[(b"content-type", b"application/json")],
        body=(json.dumps(members).encode(),),
    )
