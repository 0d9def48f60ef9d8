"""Requests as attackers, old proxies and broken clients send them, each with what may be answered.

`OPEN` among the statuses means that the server still waits for the rest, `CUT` that it may hang up without a word.
"""

from dataclasses import dataclass

from tests.fault.ground import LOOPBACK

HOST = b"host: 127.0.0.1\r\n"
FORM = b"content-type: application/x-www-form-urlencoded\r\n"
JSON = b"content-type: application/json\r\n"
NEXT = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
"""What a smuggler hides: had it been taken for a request of its own, there would be a second answer."""
OPEN, CUT = 0, 1
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
METADATA = b'{"redirect_uris":["%s"]}' % LOOPBACK.encode()


@dataclass(frozen=True)
class Odd:
    """One request, as bytes, and the statuses it may be answered with."""

    name: str
    sent: bytes
    allowed: frozenset[int]

    @property
    def may_be_cut(self) -> bool:
        """Whether hanging up is an answer, too: it is where the sender still sends when it is refused."""
        return CUT in self.allowed or len(self.sent) > 40_000


def post(*lines: bytes, body: bytes = b"", path: bytes = b"/api/oauth/token", version: bytes = b"1.1") -> bytes:
    head = b"POST " + path + b" HTTP/" + version + b"\r\n" + HOST + FORM
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def get(target: bytes, *lines: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def odd(name: str, sent: bytes, *allowed: int) -> Odd:
    return Odd(name, sent, frozenset(allowed))


CL, TE = b"content-length: ", b"transfer-encoding: "
ABCDE = b"5\r\nabcde\r\n0\r\n\r\n"

FRAMING = [
    odd("length and chunks", post(CL + b"6", TE + b"chunked", body=b"0\r\n\r\n" + NEXT), 400),
    odd("chunks and length", post(TE + b"chunked", CL + b"6", body=b"0\r\n\r\n" + NEXT), 400),
    odd("chunks and a length of all", post(TE + b"chunked", CL + b"54", body=b"0\r\n\r\n" + NEXT), 400),
    odd("two lengths", post(CL + b"5", CL + b"6", body=b"abcdef"), 400),
    odd("two lengths that agree", post(CL + b"5", CL + b"5", body=b"abcde"), 400),
    odd("a list of lengths", post(CL + b"5, 5", body=b"abcde"), 400),
    odd("a length with a sign", post(CL + b"+5", body=b"abcde"), 400),
    odd("a length below zero", post(CL + b"-5", body=b"abcde"), 400),
    odd("a length in hexadecimal", post(CL + b"0x5", body=b"abcde"), 400),
    odd("a length beyond numbers", post(CL + b"9" * 40, body=b"abcde"), 400, 413),
    odd("no length", post(), 400),
    odd("an unknown coding", post(TE + b"xchunked", body=ABCDE), 400),
    odd("chunked twice", post(TE + b"chunked, chunked", body=ABCDE), 400),
    odd("identity, then chunked", post(TE + b"identity, chunked", body=ABCDE), 400),
    odd("chunked, then identity", post(TE + b"chunked", TE + b"identity", body=ABCDE), 400),
    odd("chunked in two lines", post(TE + b"chunked", TE + b"chunked", body=ABCDE), 400),
    odd("a coding behind a tab", post(b"transfer-encoding:\tchunked", body=ABCDE), 400),
    odd("a coding with a vertical tab", post(TE + b"\x0bchunked", body=ABCDE), 400),
    odd("chunks in HTTP/1.0", post(TE + b"chunked", body=ABCDE, version=b"1.0"), 400),
    odd("a chunk size that is none", post(TE + b"chunked", body=b"zz\r\nabcde\r\n0\r\n\r\n"), 400),
    odd("a chunk size beyond numbers", post(TE + b"chunked", body=b"f" * 17 + b"\r\nabcde\r\n0\r\n\r\n"), 400),
    odd("a chunk longer than it says", post(TE + b"chunked", body=b"3\r\nabcde\r\n0\r\n\r\n"), 400),
    odd("chunks with bare line feeds", post(TE + b"chunked", body=b"5\nabcde\n0\n\n"), 400),
    odd("a huge chunk extension", post(TE + b"chunked", body=b"5;" + b"a" * 100_000 + b"\r\nabcde\r\n0\r\n\r\n"), 400),
    odd("huge trailers", post(TE + b"chunked", body=b"0\r\n" + b"x: y\r\n" * 20_000 + b"\r\n"), 400),
    odd("a body that never ends", post(CL + b"50", body=b"grant_type=refresh_token"), OPEN),
    odd("a body of a GET", get(b"/livez", CL + b"54") + NEXT, 200),
]

HEADERS = [
    odd("no host", b"GET /livez HTTP/1.1\r\n\r\n", 400, 421),
    odd("two hosts", get(b"/livez", b"host: evil.test"), 400),
    odd("a foreign host", b"GET /livez HTTP/1.1\r\nhost: evil.test\r\n\r\n", 421),
    odd("a broken host", b"GET /livez HTTP/1.1\r\nhost: [::1\r\n\r\n", 400, 421),
    odd("a host of bytes", b"GET /livez HTTP/1.1\r\nhost: \xff\xfe\r\n\r\n", 400, 421),
    odd("a folded header", get(b"/livez", b"x: y\r\n z"), 400),
    odd("a space before the colon", get(b"/livez", b"x : y"), 400),
    odd("a space before the first header", b"GET /livez HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    odd("a header without a colon", get(b"/livez", b"xy"), 400),
    odd("a header without a name", get(b"/livez", b": y"), 400),
    odd("a bare carriage return", get(b"/livez", b"x: y\rz: w"), 400),
    odd("a NUL in a header", get(b"/livez", b"x: \x00"), 400),
    odd("a header of 60 KB", get(b"/livez", b"x: " + b"a" * 60_000), 431),
    odd("a header of 1 MB", get(b"/livez", b"x: " + b"a" * 1_000_000), 431),
    odd("200 headers", get(b"/livez", *[b"x: y"] * 200), 431),
    odd("100 000 headers", get(b"/livez", *[b"x: y"] * 100_000), 431),
    odd("a bearer token of 100 KB", post(b"authorization: Bearer " + b"a" * 100_000, CL + b"0"), 431),
    odd("a bearer token of 20 KB", post(b"authorization: Bearer " + b"a.b.c" * 4000, CL + b"0"), 400, 401),
    odd("Bearer and nothing", post(b"authorization: Bearer", CL + b"0"), 400, 401),
    odd("Basic and no base64", post(b"authorization: Basic \xff\xff", CL + b"0"), 400, 401),
    odd("1000 cookies", get(b"/account", b"cookie: " + b"a=b; " * 1000), 303, 403),
    odd("a cookie of bytes", get(b"/account", b"cookie: mcpas=\xff\xfe"), 303, 403),
]

TARGETS = [
    odd("dots", get(b"/p/../livez"), 404),
    odd("encoded dots", get(b"/p/%2e%2e/livez"), 404),
    odd("encoded slashes", get(b"/p%2f..%2flivez"), 404),
    odd("dots out of the files", get(b"/static/../../../etc/passwd"), 404),
    odd("encoded dots out of the files", get(b"/static/%2e%2e/%2e%2e/pages.py"), 404),
    odd("backslashes", get(b"/static/..\\..\\pages.py"), 400, 404),
    odd("two slashes", get(b"//livez"), 404),
    odd("the default project by its name", get(b"/p/default/login"), 404),
    odd("a project of bytes", get(b"/p/%ff%fe/login"), 404),
    odd("a NUL in the path", get(b"/liv\x00ez"), 400),
    odd("an encoded NUL in the path", get(b"/livez%00"), 404),
    odd("an encoded NUL in a project", get(b"/p/a%00b/.well-known/oauth-authorization-server"), 404),
    odd("an encoded line break in the path", get(b"/livez%0d%0aset-cookie:%20a=b"), 404),
    odd("bytes in the path", get(b"/\xc3\xa9"), 400, 404),
    odd("another server's address", get(b"http://evil.test/livez"), 200),
    odd("another server's address and host", b"GET http://127.0.0.1/ HTTP/1.1\r\nhost: evil.test\r\n\r\n", 421),
    odd("an asterisk", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400, 404),
    odd("a tunnel", b"CONNECT evil.test:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, 404, 405),
    odd("an unknown method", b"BREW /api/oauth/token HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    odd("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    odd("a method of control characters", b"G\x01T /livez HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    odd("a target of 20 KB", get(b"/" + b"a" * 20_000), 404, 414, 431),
    odd("a target of 70 KB", get(b"/" + b"a" * 70_000), 414, 431),
    odd("a query of 20 KB", get(b"/oauth/authorize?" + b"a" * 20_000), 414),
    odd("a query of ampersands", get(b"/oauth/authorize?" + b"&" * 12_000), 400),
]

VERSIONS = [
    odd("HTTP/0.9", b"GET /livez\r\n", 400),
    odd("HTTP/1.0", get(b"/livez", version=b"HTTP/1.0"), 200),
    odd("HTTP/1.2", get(b"/livez", version=b"HTTP/1.2"), 400),
    odd("HTTP/2.0 in words", get(b"/livez", version=b"HTTP/2.0"), 400),
    odd("HTTP/2 at once", H2_PREFACE, 400, CUT),
    odd("HTTP/2 by upgrade", get(b"/livez", b"connection: upgrade, http2-settings", b"upgrade: h2c"), 200),
    odd("a WebSocket", get(b"/livez", b"connection: upgrade", b"upgrade: websocket"), 200),
    odd("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    odd("garbage", bytes(range(256)) * 4, 400),
    odd("empty lines first", b"\r\n\r\n" + NEXT, 200, 400),
    odd("bare line feeds", NEXT.replace(b"\r\n", b"\n"), 200, 400),
]

BODIES = [
    odd("a million ampersands", post(CL + b"1000000", body=b"&" * 1_000_000), 413),
    odd("60 000 ampersands", post(CL + b"60000", body=b"&" * 60_000), 400),
    odd("a million bytes in chunks", post(TE + b"chunked", body=b"10000\r\n" + b"&" * 65_536 + b"\r\n" + ABCDE), 413),
    odd("nested JSON", post(JSON[:-2], CL + b"60000", body=b"[" * 60_000, path=b"/api/oauth/register"), 400),
    odd(
        "deep JSON",
        post(CL + b"60000", body=b"[" * 60_000, path=b"/api/oauth/register").replace(FORM, JSON),
        400,
    ),
    odd("a form that is not UTF-8", post(CL + b"16", body=b"grant_type=%ff%fe"[:16]), 400),
    odd("a form with NUL", post(CL + b"15", body=b"grant_type=a%00"), 400),
    odd(
        "metadata in a form",
        post(CL + str(len(METADATA)).encode(), body=METADATA, path=b"/api/oauth/register"),
        400,
    ),
]

DEMO = [
    odd("the demo: no token", post(CL + b"2", body=b"{}", path=b"/demo/mcp"), 401),
    odd("the demo: broken chunks", post(TE + b"chunked", body=b"zz\r\n", path=b"/demo/mcp"), 400, 401),
    odd(
        "the demo: length and chunks",
        post(CL + b"6", TE + b"chunked", body=b"0\r\n\r\n" + NEXT, path=b"/demo/mcp"),
        401,
    ),
    odd("the demo: a token of 20 KB", post(b"authorization: Bearer " + b"a.b.c" * 4000, path=b"/demo/mcp"), 400, 401),
    odd(
        "the demo: a foreign host",
        post(CL + b"0", path=b"/demo/mcp").replace(HOST, b"host: evil.test\r\n"),
        401,
        403,
        421,
    ),
    odd("the demo: two hosts", post(b"host: evil.test", CL + b"0", path=b"/demo/mcp"), 400, 401, 421),
]

EVERYTHING = [*FRAMING, *HEADERS, *TARGETS, *VERSIONS, *BODIES, *DEMO]
