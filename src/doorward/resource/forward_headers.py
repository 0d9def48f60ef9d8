"""Which headers cross the proxy, in each direction.

Nothing that says who the caller is comes from the caller, and nothing that is the guard's to say comes from the server
behind.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from .asgi import Header, Request

IDENTITY_HEADER = "Doorward-Identity"
USER_HEADER = "X-Forwarded-User"

# No underscore: a gateway to CGI, WSGI or PHP reads X_Auth_User as X-Auth-User, whichever was checked. Some read any
# other sign so, too; only a parameter, which nobody takes for who is calling, is named by the server's own tools.
_NAME = re.compile(rb"mcp-param-[!#$%&'*+.^`|~0-9a-z-]{1,246}|[0-9a-z-]{1,256}")
_ANSWERED_NAME = re.compile(rb"[!#$%&'*+.^`|~0-9a-z_-]{1,256}")
_OWN_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_OWN_VALUE = re.compile(r"[\x20-\x7e]*")

_HOP_BY_HOP = (
    "connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|http2-settings|expect|host|content-length"
)
_CREDENTIALS = "authorization|cookie2?|dpop|(?:x-)?(?:api-key|apikey|access-token|token|csrf-token|xsrf-token)"
# Who is calling, over which connection, as a trusted proxy in front would say it: the general names, then those of
# single products.
_IDENTITY = (
    "forwarded|via|x-forwarded(?:-.*)?|(?:x-)?real-ip|(?:x-)?(?:true-)?client-ip|x-cluster-client-ip|x-host"
    "|(?:x-)?(?:remote|ssl|tls|client-cert|auth|authenticated|webauth|sso|oidc|saml)(?:-.*)?"
    "|x-(?:client|email|groups?|roles?|scopes?|subject|principal|tenant|identity|credential|consumer)(?:-.*)?"
    "|impersonate-.*|x-user.*|x-auth.*|x-remote.*|x-arr-.*|x-appservice-.*|x-ms-.*|x-amzn-.*|x-amz-.*|x-goog-.*"
    "|cf-.*|fastly-.*|fly-.*|tailscale-.*|x-pomerium-.*|x-vouch-.*|x-envoy-.*|x-kong-.*|x-jwt-.*"
    "|x-endpoint-api-userinfo|doorward(?:-.*)?"
)
# And whatever has one of these between its hyphens, in front of products that nobody listed.
_SPEAKING = frozenset(
    b"user users userid username login uid email mail group groups role roles scope scopes tenant orgid org account"
    b" principal subject identity token tokens jwt assertion claim claims secret password passwd credential credentials"
    b" apikey impersonate sudo admin hasura oauth oauth2 oidc openid saml sso shib ldap kerberos session cert"
    b" certificate clientcert auth authorization authentication authenticated key keys".split()
)
_HARMLESS = frozenset({b"user-agent", b"idempotency-key"})
# What makes a server take the request for another one than the guard has checked.
_OVERRIDES = (
    "x-original-.*|x-rewrite-.*|x-http-method.*|x-method.*|x-accel-.*|x-sendfile.*|x-script-name|x-prefix"
    "|x-middleware-.*"
)
# From which page it came was checked here; a server behind would judge it by its own name and refuse.
_PAGE = "origin|sec-.*|access-control-.*"
_NEVER_IN = re.compile(f"{_HOP_BY_HOP}|{_CREDENTIALS}|{_IDENTITY}|{_OVERRIDES}|{_PAGE}".encode())

# What the message means; a client's Connection header has no say in these. Spec: rule 19
_MEANING = re.compile(rb"mcp-.*|content-.*|accept|last-event-id")

# Cookies and the policies of an origin are the business of whoever answers at that origin, and so is the sign-in.
_NEVER_OUT = re.compile(
    rb"connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|set-cookie2?|www-authenticate|dpop-nonce"
    rb"|authentication-info|access-control-.*|alt-svc|strict-transport-security|public-key-pins.*|clear-site-data"
    rb"|expect-ct|nel|report-to|reporting-endpoints|refresh|service-worker-allowed|x-accel-.*|doorward-.*"
)


class RequestHeaders:
    """Builds what the server behind is sent.

    `resource` is the public URL, for the `X-Forwarded-*` headers; `credentials` are the operator's own headers, which
    replace whatever came under their names. Raises `ValueError` for those that cannot be sent, never with a value.

    Spec: RFC 9110 §7.6.1; RFC 9700 §4.13 (TRN-08, TRN-09, TRN-10, RS-04); T10, T46
    """

    def __init__(self, *, resource: str, credentials: Mapping[str, str]) -> None:
        for name, value in credentials.items():
            _check_own(name, value)
        parts = urlsplit(resource)
        self._own = [
            ("X-Forwarded-Proto", parts.scheme),
            ("X-Forwarded-Host", parts.netloc),
            *credentials.items(),
        ]
        self._taken = frozenset(name.lower().encode("ascii") for name in credentials)

    def build(self, request: Request, *, identity: str, user: str | None, readable: bool) -> list[tuple[str, str]]:
        """The headers for `request`; with `readable`, no compression of the answer is asked for."""
        dropped = self._taken | _nominated(request.values("connection"))
        if readable:
            dropped |= {b"accept-encoding"}
        headers = []
        for raw_name, raw_value in request.scope["headers"]:
            name = raw_name.lower()
            if name in dropped or not _passes(name):
                continue
            try:
                headers.append((name.decode("ascii"), raw_value.decode("utf-8")))
            except UnicodeDecodeError:
                continue  # no client sends it, and no two servers read it alike
        headers += self._own
        client = request.scope.get("client")
        if client:
            headers.append(("X-Forwarded-For", str(client[0])))
        headers.append((IDENTITY_HEADER, identity))
        if user is not None and user and _OWN_VALUE.fullmatch(user) and user == user.strip():
            headers.append((USER_HEADER, user))
        return headers


def build_response_headers(raw: Iterable[tuple[bytes, bytes]], *, location: str | None) -> list[Header]:
    """The headers of the answer to the client, `Location` as `location`; an event stream is marked as unbuffered.

    Spec: RFC 9110 §7.6.1 (TRN-11)
    """
    received = [(name.lower(), value) for name, value in raw]
    dropped = _nominated([value.decode("latin-1") for name, value in received if name == b"connection"])
    if any(name == b"transfer-encoding" for name, _ in received):
        dropped |= {b"content-length"}
    headers = [
        (name, value)
        for name, value in received
        if name not in dropped and name != b"location" and _ANSWERED_NAME.fullmatch(name)
        if not _NEVER_OUT.fullmatch(name) and _VALUE.fullmatch(value)
    ]
    if location is not None:
        headers.append((b"location", location.encode("ascii")))
    if is_event_stream(headers):
        headers.append((b"x-accel-buffering", b"no"))
    return headers


def is_event_stream(headers: Iterable[Header]) -> bool:
    """Whether the answer with these headers is a stream of events."""
    return any(
        name == b"content-type" and value.partition(b";")[0].strip().lower() == b"text/event-stream"
        for name, value in headers
    )


def _nominated(connection: Sequence[str]) -> frozenset[bytes]:
    """The names that `Connection` takes for itself, less those without which a message is another. Spec: rule 19"""
    names = {
        name.strip().lower().encode("latin-1", "replace") for value in connection for name in value.split(",")[:64]
    }
    return frozenset(name for name in names if not _MEANING.fullmatch(name))


@lru_cache(maxsize=1024)
def _passes(name: bytes) -> bool:
    if _NAME.fullmatch(name) is None or _NEVER_IN.fullmatch(name) is not None:
        return False
    return name.startswith(b"mcp-") or name in _HARMLESS or _SPEAKING.isdisjoint(name.split(b"-"))


def _check_own(name: str, value: str) -> None:
    if not _OWN_NAME.fullmatch(name):
        raise ValueError(f"headers: {name!r} is not the name of a header.")
    if re.fullmatch(_HOP_BY_HOP, name.lower()):
        raise ValueError(f"headers: {name} belongs to the connection and cannot be set.")
    if not _OWN_VALUE.fullmatch(value) or value != value.strip():
        raise ValueError(f"headers: the value of {name} holds characters that no header has.")
