"""Requests as smugglers and odd gateways send them to a protected server, each with what may become of it."""

from dataclasses import dataclass

from tests.resource.guarded_server import AUTH, JSON, build_request
from tests.unit.hostile_jwts import sign

LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
BOOK = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"book"}}'
HIDDEN = build_request(AUTH, JSON, body=LIST, path=b"/hidden")
"""A request that is good by itself: what a smuggler would have somebody else's connection say."""
TE, CL = b"Transfer-Encoding: ", b"Content-Length: "
TOKEN = sign().encode()
CUT = 0
REFUSED = frozenset({400, 408, 413, 414, 415, 417, 421, 431, 501, 505})


@dataclass(frozen=True)
class Hostile:
    """One request. `allowed` are the statuses it may get; 200 means that the app saw it as it was checked.

    `CUT` among them means that the server may hang up without a word. `follows` are the statuses of further requests
    that are in it by every reading.
    """

    name: str
    sent: bytes
    allowed: frozenset[int] = REFUSED
    follows: tuple[int, ...] = ()


def hostile(name: str, sent: bytes, *allowed: int, follows: tuple[int, ...] = ()) -> Hostile:
    return Hostile(name, sent, frozenset(allowed) or REFUSED, follows)


def post(*lines: bytes, body: bytes = LIST, **more: bytes) -> bytes:
    return build_request(AUTH, JSON, *lines, body=body, **more)


def chunk(data: bytes, size: bytes | None = None, end: bytes = b"0\r\n\r\n") -> bytes:
    return (b"%x" % len(data) if size is None else size) + b"\r\n" + data + b"\r\n" + end


def _length(said: bytes) -> Hostile:
    return hostile(f"a length of {said!r}", post(CL + said))


def _coding(line: bytes, *allowed: int) -> Hostile:
    """Chunks that hide a request from whoever goes by the length, and the length from whoever goes by the chunks."""
    return hostile(f"a coding in {line!r}", post(line, CL + b"5", body=b"0\r\n\r\n" + HIDDEN), *allowed)


FRAMING = [
    *map(_length, (b"46, 46", b"46,", b"4 6", b"46.0", b"4_6", b"+46", b"-0", b"0x2e", b"46;", b"\x0b46", b"46\x0c")),
    *map(_length, (b"18446744073709551662", b"9223372036854775854", b"4294967342" * 3, b"\xd9\xa4\xd9\xa6", b"")),
    hostile("two lengths", post(CL + b"46", CL + b"0")),
    hostile("two lengths, one empty", post(CL + b"46", CL)),
    hostile("a length below the body", post(CL + b"5", body=LIST[:5] + HIDDEN), 400, follows=(200,)),
    hostile("a length of nothing", post(CL + b"0", body=HIDDEN), 200, follows=(200,)),
    # RFC 9112 §6.3 lets a server go by the chunks, if it hangs up after them.
    _coding(TE + b"chunked", 200, 400),
    _coding(TE + b"CHUNKED", 200, 400),
    _coding(b"transfer-encoding:\tchunked", 200, 400),
    _coding(TE + b"chunked\r\n" + TE + b"identity"),
    _coding(TE + b"identity\r\n" + TE + b"chunked"),
    _coding(TE + b"xchunked"),
    _coding(TE + b"chunkedx"),
    _coding(TE + b'"chunked"'),
    _coding(TE + b"chunked;q=1"),
    _coding(TE + b"chunked, identity"),
    _coding(TE + b"gzip, chunked"),
    _coding(TE + b"chunked, chunked"),
    _coding(TE + b", chunked"),
    _coding(TE + b"chunked,"),
    _coding(TE + b"chun\xe2\x84\xaaed"),
    _coding(TE + b"\x00chunked"),
    _coding(TE + b"\x0bchunked"),
    _coding(TE),
    _coding(b"Transfer-Encoding : chunked"),
    _coding(b"Transfer-Encoding\t: chunked"),
    _coding(b" Transfer-Encoding: chunked"),
    _coding(b"X: y\rTransfer-Encoding: chunked"),
    _coding(b"X: y\r\n Transfer-Encoding: chunked"),
    _coding(b"Transfer-Encoding\r\n : chunked"),
    _coding(b"Transfer-Encoding\x00: chunked"),
    _coding(b"Transfer-Encoding; chunked"),
    # Another header by every reading of HTTP: five bytes are the body, and the rest is a request by itself.
    hostile("a coding with an underscore", post(b"Transfer_Encoding: chunked"), 200),
    hostile("a coding under another name", post(b"TE: chunked", b"X-Transfer-Encoding: chunked"), 200),
]

CHUNKS = [
    hostile("chunks", post(TE + b"chunked", body=chunk(LIST)), 200),
    hostile("chunks that call what is not allowed", post(TE + b"chunked", body=chunk(BOOK)), 403),
    hostile(
        "chunks with a trailer that says more",
        post(TE + b"chunked", body=chunk(LIST, end=b"0\r\n" + CL + b"9\r\n\r\n")),
        200,
    ),
    hostile(
        "chunks with a trailer of credentials",
        build_request(JSON, TE + b"chunked", body=chunk(LIST, end=b"0\r\n" + AUTH + b"\r\n\r\n")),
        401,
    ),
    hostile(
        "chunks with a trailer of a session",
        post(TE + b"chunked", body=chunk(LIST, end=b"0\r\nMcp-Session-Id: a\r\nMcp-Method: tools/call\r\n\r\n")),
        200,
    ),
    hostile("a size in upper case", post(TE + b"chunked", body=chunk(LIST, b"2E")), 200),
    hostile("a size with zeros in front", post(TE + b"chunked", body=chunk(LIST, b"00002e")), 200),
    *(
        hostile(f"a chunk size of {size!r}", post(TE + b"chunked", body=chunk(LIST, size)))
        for size in (
            b"0x2e",
            b"+2e",
            b"-1",
            b"2e_0",
            b"2g",
            b"",
            b"2 e",
            b"\x002e",
            b"\xef\xbc\x92e",
            b"2e\x00",
            b"2.e",
        )
    ),
    hostile("a chunk size beyond numbers", post(TE + b"chunked", body=chunk(LIST, b"1000000000000002e"))),
    hostile("a chunk size far beyond numbers", post(TE + b"chunked", body=chunk(LIST, b"0" * 400 + b"2e")), 200, 400),
    hostile("a chunk that is longer than it says", post(TE + b"chunked", body=chunk(LIST, b"2d"))),
    hostile("an extension with a line feed", post(TE + b"chunked", body=chunk(LIST, b"2e;\nx"))),
    hostile("an extension with a carriage return", post(TE + b"chunked", body=chunk(LIST, b"2e;\rx"))),
    hostile("sizes that end in line feeds", post(TE + b"chunked", body=b"2e\n" + LIST + b"\n0\n\n")),
    hostile("a chunk that ends in a line feed", post(TE + b"chunked", body=b"2e\r\n" + LIST + b"\n0\r\n\r\n")),
    hostile("a chunk that ends in two letters", post(TE + b"chunked", body=b"2e\r\n" + LIST + b"xx0\r\n\r\n")),
    hostile("a broken trailer", post(TE + b"chunked", body=chunk(LIST, end=b"0\r\nno colon\r\n\r\n"))),
]

UNREAD = [
    hostile("a body nobody reads: no token", build_request(JSON, body=HIDDEN), 401),
    hostile("a body nobody reads: a bad token", build_request(AUTH[:-9], JSON, body=HIDDEN), 401),
    hostile("a body nobody reads: a foreign host", build_request(AUTH, body=HIDDEN, host=b"Host: evil.test"), 421),
    hostile("a body nobody reads: a foreign origin", post(b"Origin: https://evil.test", body=HIDDEN), 403),
    hostile("a body nobody reads: a preflight", build_request(body=HIDDEN, method=b"OPTIONS"), 204),
    hostile("a body nobody reads: no JSON", build_request(AUTH, b"Content-Type: text/plain", body=HIDDEN), 415),
    hostile(
        "a body nobody reads: of a document",
        build_request(body=HIDDEN, method=b"GET", path=b"/.well-known/oauth-protected-resource/mcp"),
        200,
    ),
    hostile("a body nobody reads: of a GET", build_request(AUTH, body=HIDDEN, method=b"GET"), 200),
    hostile("a body nobody reads: in chunks", build_request(TE + b"chunked", body=chunk(HIDDEN)), 401),
    hostile("a body nobody reads: announced", build_request(b"Expect: 100-continue", body=HIDDEN), 401),
    hostile("a body nobody reads: too long", post(CL + b"99999999", body=HIDDEN), 413),
    hostile("an expectation of something else", post(b"Expect: 200-ok"), 200, 417),
]

LINES = [
    hostile("two spaces in the request line", post().replace(b"POST /mcp", b"POST  /mcp")),
    hostile("a tab in the request line", post().replace(b"POST /mcp", b"POST\t/mcp")),
    hostile("two versions", post().replace(b"HTTP/1.1", b"HTTP/1.1 HTTP/1.1")),
    hostile("a version in lower case", post().replace(b"HTTP/1.1", b"http/1.1")),
    hostile("a version beyond", post().replace(b"HTTP/1.1", b"HTTP/3.0")),
    hostile("a line break in the target, escaped", post(path=b"/mcp%20HTTP/1.1%0d%0aX:%20y"), 200),
    hostile("a NUL in the target", post(path=b"/mcp\x00")),
    hostile("a fragment in the target", post(path=b"/mcp#/hidden"), 200, 400),
    hostile("a header of an empty name", post(b": y")),
    hostile("a header of spaces", post(b"   : y")),
    hostile("a bare carriage return", post(b"X: y\rAuthorization: Bearer x")),
    hostile("a NUL in a header", post(b"X: \x00")),
    hostile("a NUL in a name", post(b"X\x00: y")),
    hostile("a folded token", build_request(b"Authorization: Bearer\r\n " + TOKEN, JSON, body=LIST)),
    hostile("a folded name of a tool", post(b"Mcp-Method:\r\n tools/list")),
    hostile(
        "an upgrade to HTTP/2",
        post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        200,
    ),
    hostile(
        "an upgrade to a WebSocket",
        post(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        200,
    ),
    hostile("HTTP/2 from the start", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, CUT, 400),
    hostile("two requests in turn", post(body=BOOK) + HIDDEN.replace(AUTH, AUTH[:-9]), 403, follows=(401,)),
]


def _authorized(name: str, *lines: bytes, to: int = 400) -> Hostile:
    return hostile(f"authorization: {name}", build_request(*lines, JSON, body=LIST), to)


def _bearer(name: str, value: bytes, to: int = 400) -> Hostile:
    return _authorized(name, b"Authorization: " + value, to=to)


AUTHORIZATION = [
    _bearer("in lower case", b"bearer " + TOKEN, 200),
    _bearer("in upper case", b"BEARER " + TOKEN, 200),
    _bearer("three spaces", b"Bearer   " + TOKEN, 200),
    _bearer("space around it", b" \tBearer " + TOKEN + b" \t", 200),
    _bearer("a tab between", b"Bearer\t" + TOKEN),
    _bearer("a no-break space between", b"Bearer\xa0" + TOKEN),
    _bearer("a line of nothing", b""),
    _bearer("a scheme alone", b"Bearer"),
    _bearer("a scheme and a space", b"Bearer "),
    _bearer("a token alone", TOKEN),
    _bearer("a colon", b"Bearer: " + TOKEN),
    _bearer("an equals sign", b"Bearer=" + TOKEN),
    _bearer("a parameter", b"Bearer token=" + TOKEN),
    _bearer("quotes", b'Bearer "' + TOKEN + b'"'),
    _bearer("angles", b"Bearer <" + TOKEN + b">"),
    _bearer("two tokens with a comma", b"Bearer " + TOKEN + b", Bearer " + TOKEN),
    _bearer("two tokens with a space", b"Bearer " + TOKEN + b" " + TOKEN),
    _bearer("two schemes", b"Bearer Bearer " + TOKEN),
    _bearer("Basic before it", b"Basic YTpi, Bearer " + TOKEN, 401),
    _bearer("Basic", b"Basic YTpi", 401),
    _bearer("Basic with the token", b"Basic " + TOKEN, 401),
    _bearer("Token", b"Token " + TOKEN, 401),
    _bearer("Negotiate", b"Negotiate " + TOKEN, 401),
    _bearer("DPoP without a proof", b"DPoP " + TOKEN, 401),
    _bearer("a NUL after it", b"Bearer " + TOKEN + b"\x00"),
    _bearer("letters beyond ASCII", b"Bearer " + TOKEN + b"\xc3\xa9"),
    _bearer("20,000 letters", b"Bearer " + b"a" * 20_000),
    _bearer("20,000 spaces", b"Bearer " + b" " * 20_000 + TOKEN, 200),
    _bearer("20,000 commas", b"," * 20_000),
    _authorized("twice", AUTH, AUTH),
    _authorized("twice in other letter case", AUTH, AUTH.replace(b"Auth", b"AUTH")),
    _authorized("twice, the first empty", b"Authorization:", AUTH),
    _authorized("twice, another scheme first", b"Authorization: Basic YTpi", AUTH),
    _authorized("to a proxy", b"Proxy-" + AUTH, to=401),
    _authorized("with a prefix", b"X-" + AUTH, b"X-Forwarded-" + AUTH, b"HTTP_" + AUTH, b"Author_ization: x", to=401),
    _authorized("in a cookie", b"Cookie: access_token=" + TOKEN + b"; Authorization=Bearer " + TOKEN, to=401),
    _authorized(
        "as another says it was checked", b"X-User: root", b"X_Forwarded_User: root", b"Remote-User: root", to=401
    ),
    _authorized("a certificate as another says", b"X-SSL-Client-Verify: SUCCESS", b"X-Client-Cert: MIIB", to=401),
    hostile(
        "authorization: in the query",
        build_request(JSON, body=LIST, path=b"/mcp?access_token=" + TOKEN + b"&token=" + TOKEN),
        401,
    ),
    hostile(
        "authorization: in the query, badly in the header",
        build_request(AUTH[:-9], JSON, body=LIST, path=b"/mcp?access_token=" + TOKEN),
        401,
    ),
    hostile(
        "authorization: in a form",
        build_request(b"Content-Type: application/x-www-form-urlencoded", body=b"access_token=" + TOKEN),
        401,
    ),
]


def _host(value: bytes, to: int, *more: bytes) -> Hostile:
    return hostile(
        f"host {value!r} {b' '.join(more)!r}", post(*more, host=b"Host: " + value), to, *((400,) if to == 421 else ())
    )


def _origin(value: bytes, to: int) -> Hostile:
    return hostile(f"origin {value!r}", post(b"Origin: " + value), to)


NEIGHBOURS = [
    _host(b"API.test", 200),
    _host(b"api.test:443", 200),
    _host(b"api.test", 200, b"X-Forwarded-Host: evil.test", b"Forwarded: host=evil.test", b"X-Host: evil.test"),
    *(
        _host(value, 421)
        for value in (
            b"api.test.",
            b"api.test:80",
            b"api.test:8443",
            b"api.test:443:443",
            b"api.test:x",
            b"api.test@evil.test",
            b"evil.test#api.test",
            b"evil.test/api.test",
            b"api.test, evil.test",
            b"api.test evil.test",
            b"api.test\x00",
            b"xn--pi-7kc.test",
            b"\xd0\xb0pi.test",
            b"[::1]",
            b"127.0.0.1",
            b"localhost",
            b"",
        )
    ),
    _host(b"evil.test", 421, b"X-Forwarded-Host: api.test", b"Forwarded: host=api.test"),
    hostile("two hosts", post(b"Host: api.test")),
    hostile("a host within the target", post(path=b"http://api.test/mcp", host=b"Host: evil.test"), 421),
    _origin(b"https://api.test", 200),
    _origin(b"https://API.test:443", 200),
    *(
        _origin(value, 403)
        for value in (
            b"null",
            b"",
            b"https://api.test.evil.test",
            b"https://evil.test#https://api.test",
            b"https://api.test@evil.test",
            b"https://api.test:8443",
            b"http://api.test",
            b"https://api.test https://evil.test",
            b"https://api.test,https://evil.test",
            b"*",
            b"file://",
            b"chrome-extension://abc",
            b"http://localhost",
            b"\xff",
        )
    ),
    hostile("two origins", post(b"Origin: https://api.test", b"Origin: https://evil.test"), 403),
]

SESSIONS = [
    hostile("session: one", post(b"Mcp-Session-Id: abc"), 200),
    hostile("session: two", post(b"Mcp-Session-Id: a", b"Mcp-Session-Id: b"), 400),
    hostile("session: two that agree", post(b"Mcp-Session-Id: a", b"MCP-SESSION-ID: a"), 400),
    hostile("session: with underscores", post(b"Mcp_Session_Id: a"), 400),
    hostile("session: with underscores beside one", post(b"Mcp-Session-Id: a", b"mcp_session-id: b"), 400),
    hostile("session: none", post(b"Mcp-Session-Id:"), 404),
    hostile("session: too long", post(b"Mcp-Session-Id: " + b"a" * 257), 404),
    hostile("session: a NUL", post(b"Mcp-Session-Id: a\x00"), 400),
    hostile("session: space within", post(b"Mcp-Session-Id: a b"), 404),
    hostile("session: a no-break space at the end", post(b"Mcp-Session-Id: abc\xa0"), 404),
    hostile("session: letters beyond ASCII", post(b"Mcp-Session-Id: \xc3\xa9"), 404),
]

OVERRIDES = [
    hostile("override: of the method", post(b"X-HTTP-Method-Override: GET", b"X-Method-Override: GET", body=BOOK), 403),
    hostile(
        "override: of the path",
        post(b"X-Original-URL: /hidden", b"X-Rewrite-URL: /hidden", b"X-Forwarded-Uri: /hidden"),
        200,
    ),
    hostile("override: of the media type", build_request(AUTH, JSON, b"Content-Type: text/plain", body=LIST), 415),
    hostile(
        "override: of the charset",
        build_request(AUTH, b"Content-Type: application/json; charset=utf-8; charset=utf-16", body=LIST),
        415,
    ),
    hostile("override: of the coding", post(b"Content-Encoding: identity, gzip"), 415),
    hostile("override: of what is dropped on the way", post(b"Connection: close, authorization, mcp-session-id"), 200),
    hostile(
        "override: of the revision", post(b"MCP-Protocol-Version: 2026-07-28", b"MCP-Protocol-Version: 2025-11-25"), 400
    ),
    hostile("override: of the tool", post(b"Mcp-Method: tools/list", b"Mcp-Name: weather", body=BOOK), 400),
]

EVERYTHING = [*FRAMING, *CHUNKS, *UNREAD, *LINES, *AUTHORIZATION, *NEIGHBOURS, *SESSIONS, *OVERRIDES]
