"""What the loopback listener reads and answers: bytes in, bytes out, no sockets.

Spec: RFC 8252 §7.3, §8.5 (RDU-08, RDU-09); AUTHZ-17, ISS-07; threat T36
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

PATH = "/callback"
MAX_HEAD_BYTES = 16 * 1024
"""Browsers send the cookies of every program on this machine along, whatever its port: less would refuse developers."""
_MAX_PARAMETERS = 64
_NAMES_OF_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")
_REQUEST_LINE = re.compile(rb"(GET|HEAD) (/[\x21-\x7e]*) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*")
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.5 system-ui,sans-serif;"
    "background:#f6f8f9;color:#16262c}"
    "main{max-width:27rem;padding:2rem}h1{font-size:1.4rem;line-height:1.25;margin:0 0 .5rem}p{margin:0}"
    "@media(prefers-color-scheme:dark){body{background:#12191c;color:#e6edef}}"
)
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
    '<link rel="icon" href="data:,"><style>{style}</style></head>'
    "<body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FIELDS = (
    "Content-Type: text/html; charset=utf-8",
    "Cache-Control: no-store",
    f"Content-Security-Policy: {_POLICY}",
    "Referrer-Policy: no-referrer",
    "X-Content-Type-Options: nosniff",
    "Cross-Origin-Resource-Policy: same-origin",
    "Connection: close",
)

Method = Literal["GET", "HEAD"]


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A well-formed request that was meant for this listener."""

    method: Method
    path: str
    query: str
    """Undecoded: whoever reads it decodes it, once."""


def parse_request(head: bytes, *, port: int) -> CallbackRequest | None:
    """The request of a complete head (without its empty line), or None when it is malformed or meant for another host.

    A page that has its own name resolve to this machine does not get past the Host field (DNS rebinding).
    """
    line, *lines = head.split(b"\r\n")
    request, fields = _REQUEST_LINE.fullmatch(line), [_FIELD.fullmatch(field) for field in lines]
    if request is None or None in fields:
        return None
    hosts = [field[2].decode("latin-1").lower() for field in fields if field and field[1].lower() == b"host"]
    if len(hosts) != 1 or hosts[0] not in {f"{name}:{port}" for name in _NAMES_OF_LOOPBACK}:
        return None
    path, _, query = request[2].decode("ascii").partition("?")
    return CallbackRequest("HEAD" if request[1] == b"HEAD" else "GET", path, query)


def check_state(query: str, state: str) -> bool:
    """Whether a response belongs to the request that was made with `state`. Spec: AUTHZ-17, T36"""
    try:
        parameters = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return False
    given = [value for name, value in parameters if name == "state"]
    return len(given) == 1 and hmac.compare_digest(given[0].encode(), state.encode())


def render_received() -> bytes:
    """The answer to the response that was waited for.

    How it went is not known yet, and the response itself is not to be trusted before its issuer was checked, so
    nothing of it decides what the page says. Spec: ISS-07
    """
    text = "You can close this page. The program that you came from goes on, and says how it went."
    return _render("200 OK", "Back to your program", text)


def render_foreign() -> bytes:
    """The answer to a response that nobody here asked for; it is not shown, and does not end the wait."""
    text = (
        "This answer does not belong to a sign-in that is waiting here, so it was not used."
        " Close this page, and start again from the program if it does not go on by itself."
    )
    return _render("400 Bad Request", "That did not work", text)


def render_malformed() -> bytes:
    """The answer to what is no request of a browser for this listener."""
    return _render("400 Bad Request", "That did not work", "The request could not be understood. Close this page.")


def render_elsewhere() -> bytes:
    """The answer at any other address."""
    return _render("404 Not Found", "Nothing is here", "Only the end of a sign-in is received here.")


def without_body(answer: bytes) -> bytes:
    """The same answer to a HEAD request."""
    return answer[: answer.index(b"\r\n\r\n") + 4]


def _render(status: str, title: str, text: str) -> bytes:
    page = _PAGE.format(title=title, text=text, style=_STYLE).encode()
    head = "\r\n".join([f"HTTP/1.1 {status}", *_FIELDS, f"Content-Length: {len(page)}"])
    return head.encode() + b"\r\n\r\n" + page
