"""Names and paths that were made to be read differently behind the proxy: a corpus, against the pure rules."""

from typing import Any
from urllib.parse import unquote

import pytest

from doorward.resource.asgi import Request
from doorward.resource.forward import Forwarder
from doorward.resource.forward_headers import RequestHeaders, build_response_headers
from doorward.resource.forward_target import Addresses, Unmappable
from tests.resource.world import RESOURCE

_SPOOFS = """
Authorization Proxy-Authorization Proxy-Authenticate Proxy-Connection Cookie Cookie2 DPoP X-Api-Key X-Access-Token
X-User X-User-Id X-User-Email X-Username X-UserInfo X-Auth-User X-Auth-Request-Email X-Auth-Token X-Authenticated-User
X-Authenticated-UserId X-Remote-User X-Remote-Group X-Remote-Addr X-Remote-Extra-Scopes Remote-User Remote-Groups
Remote-Email Remote-Name Remote-Addr X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port
X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
X-Forwarded-Prefix X-Forwarded-Uri X-Forwarded-Client-Cert Forwarded Via X-Real-IP X-Client-IP X-Cluster-Client-IP
True-Client-IP CF-Connecting-IP Cf-Access-Jwt-Assertion Cf-Access-Authenticated-User-Email Fastly-Client-IP
X-Client-Cert X-Client-Cert-Chain X-Client-DN X-Client-Verify Client-Cert Client-Cert-Chain X-SSL-Cert
X-SSL-Client-Cert X-SSL-Client-S-DN X-SSL-Client-Verify SSL-Client-Cert SSL-Client-Subject-DN X-ARR-ClientCert
X-ARR-SSL X-AppService-Proto X-MS-CLIENT-PRINCIPAL X-MS-CLIENT-PRINCIPAL-NAME X-MS-TOKEN-AAD-ID-TOKEN
X-Amzn-Oidc-Data X-Amzn-Oidc-Identity X-Amzn-Mtls-Clientcert X-Goog-Authenticated-User-Email
X-Goog-Iap-Jwt-Assertion Tailscale-User-Login X-Webauth-User X-Consumer-Username X-Consumer-Custom-Id
X-Credential-Identifier X-Pomerium-Jwt-Assertion X-Vouch-User X-Authentik-Username X-Authelia-User X-Email X-Groups
X-Roles X-Tenant-Id X-Endpoint-API-UserInfo Impersonate-User Impersonate-Group X-Envoy-Original-Path
X-Original-URL X-Original-URI X-Original-Method X-Rewrite-URL X-HTTP-Method X-HTTP-Method-Override X-Method-Override
X-Accel-Redirect X-Sendfile X-Script-Name Doorward-Identity Doorward Connection Keep-Alive TE Trailer
Transfer-Encoding Upgrade HTTP2-Settings Expect Host Content-Length Origin Sec-Fetch-Site Sec-WebSocket-Key
Access-Control-Request-Method
X-JWT X-Id-Token Id-Token X-OAuth-Scopes X-Impersonate-User X-Proxy-User X-Proxy-Remote-User X-Login X-Current-User
X-Hasura-Role X-Hasura-Admin-Secret X-Grafana-User X-Keycloak-Token X-Okta-User X-Gitlab-Token Private-Token Sudo
Shib-Session-Id X-Org-Id X-Account-Id X-Session X-Admin X-On-Behalf-Of-User Teleport-Jwt-Assertion X-Ldap-User
X-Middleware-Subrequest Ocp-Tenant X-Vault-Token Mail Uid X-Custom-Auth-Header X-Functions-Key Ocp-Apim-Subscription-Key
"""
_PASSED = """
Accept Accept-Encoding Accept-Language Content-Type Content-Encoding User-Agent Last-Event-ID Mcp-Session-Id
Mcp-Protocol-Version Mcp-Method Mcp-Name Mcp-Param-Region Traceparent Tracestate Baggage X-Request-Id Cache-Control
If-None-Match Priority X-Custom Idempotency-Key Mcp-Param-User Mcp-Param-Auth.Token~1 X-Trace-Id X-Correlation-Id
"""
SPOOFS, PASSED = _SPOOFS.split(), _PASSED.split()


def build(headers: list[tuple[str, str]], *, credentials: dict[str, str] | None = None, **options: Any) -> list[Any]:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    scope = {"method": "POST", "path": "/mcp", "headers": encoded, "client": ("192.0.2.1", 1)}
    settings = {"identity": "ours", "user": None, "readable": False, **options}
    rules = RequestHeaders(resource=RESOURCE, credentials=credentials or {})
    return [(name.lower(), value) for name, value in rules.build(Request(scope), **settings)]


OURS = build([])


@pytest.mark.parametrize("name", SPOOFS)
def test_a_name_that_speaks_for_the_connection_or_the_caller_is_dropped_trn_09(name: str) -> None:
    variants = [name, name.lower(), name.upper(), name.title()]
    assert build([(variant, "evil") for variant in variants]) == OURS


@pytest.mark.parametrize("name", [name for name in [*SPOOFS, *PASSED] if "-" in name])
def test_no_name_with_an_underscore_passes_trn_09(name: str) -> None:
    variants = [name.replace("-", "_"), name.replace("-", "_", 1), f"{name}_", f"_{name}", f"HTTP_{name}"]
    assert build([(variant, "evil") for variant in variants]) == OURS


@pytest.mark.parametrize("name", SPOOFS)
def test_no_name_with_another_sign_than_a_hyphen_passes_trn_09(name: str) -> None:
    """Lighttpd and the Apache of old read every sign as an underscore, for CGI."""
    for sign in "!#$%&'*+.^`|~":
        assert build([(name.replace("-", sign), "evil"), (f"{name}{sign}", "evil")]) == OURS


@pytest.mark.parametrize("name", ["X User", "X-User:", "X-User\x00", "X-Us\xe9r", "", "X-User\r\nA", "x" * 300, "X/Y"])
def test_what_is_no_name_does_not_pass(name: str) -> None:
    assert build([(name, "evil")]) == OURS


@pytest.mark.parametrize("name", PASSED)
def test_what_the_message_needs_passes_trn_08(name: str) -> None:
    assert build([(name, "value")]) == [(name.lower(), "value"), *OURS]


def test_a_header_that_connection_names_is_dropped_unless_the_message_needs_it() -> None:
    headers = [("connection", "close, X-Hop, Mcp-Session-Id, content-type, Doorward-Identity, X-Forwarded-For")]
    headers += [("x-hop", "1"), ("mcp-session-id", "s"), ("content-type", "application/json"), ("x-end", "1")]
    assert build(headers) == [("mcp-session-id", "s"), ("content-type", "application/json"), ("x-end", "1"), *OURS]


def test_credentials_replace_what_came_under_their_names() -> None:
    sent = build([("x-key", "theirs"), ("X-Key", "again"), ("x-other", "1")], credentials={"X-KEY": "ours"})
    assert [value for name, value in sent if name == "x-key"] == ["ours"]
    assert ("x-other", "1") in sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X Key", "secret"),
        ("Host", "secret"),
        ("Content-Length", "secret"),
        ("X-Key", "sec\r\nret"),
        ("X-Key", "secrét"),
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused_without_telling_it(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^headers: ") as refusal:
        Forwarder("http://127.0.0.1:1/mcp", resource=RESOURCE, headers={name: value})
    assert value not in str(refusal.value)


def test_a_forwarder_does_not_show_its_credentials() -> None:
    forwarder = Forwarder("http://127.0.0.1:1/mcp?key=secret", resource=RESOURCE, headers={"X-Key": "secret"})
    assert "secret" not in repr(forwarder)


@pytest.mark.parametrize("user", ["", "al\r\nice", "alicé", " alice"])
def test_a_subject_that_fits_no_header_is_not_sent_in_one(user: str) -> None:
    assert build([], user=user) == OURS


def test_an_answer_in_chunks_has_no_length() -> None:
    raw = [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5"), (b"X-A", b"1"), (b"X-B", b"a\x00b")]
    assert build_response_headers(raw, location=None) == [(b"x-a", b"1")]


ADDRESSES = Addresses(resource="https://api.test/pub/mcp", upstream="http://inner:3000/x/mcp")


def resolve(raw: str, query: str = "", path: str | None = None) -> str:
    scope = {"path": unquote(raw) if path is None else path, "raw_path": raw.encode(), "query_string": query.encode()}
    return ADDRESSES.resolve(scope)


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/pub/mcp", "http://inner:3000/x/mcp"),
        ("/pub/mcp/", "http://inner:3000/x/mcp"),
        ("/pub/mcp/a/b.c~d", "http://inner:3000/x/mcp/a/b.c~d"),
        ("/pub/mcp/a%20b/%C3%A9", "http://inner:3000/x/mcp/a%20b/%C3%A9"),
        ("/pub/mcp/...a/b..", "http://inner:3000/x/mcp/...a/b.."),
    ],
)
def test_a_path_below_is_appended_as_it_is(raw: str, target: str) -> None:
    assert resolve(raw) == target


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("/", 404),
        ("/other", 404),
        ("/pub/mcpx", 404),
        ("/PUB/mcp/a", 404),
        ("/pub/mcp/..", 400),
        ("/pub/mcp/../admin", 400),
        ("/pub/mcp/%2e%2e/admin", 400),
        ("/pub/mcp/.%2E/admin", 400),
        ("/pub/mcp/./a", 400),
        ("/pub/mcp/..;/admin", 400),
        ("/pub/mcp/..;x=1/admin", 400),
        ("/pub/mcp/..%20/admin", 400),
        ("/pub/mcp/.../admin", 400),
        ("/pub/mcp//a", 400),
        ("//pub/mcp/a", 400),
        ("/pub/mcp/a//", 400),
        ("/pub/mcp/a%2fb", 400),
        ("/pub/mcp/a%2F..%2Fb", 400),
        ("/pub/mcp/a%5cb", 400),
        ("/pub/mcp/..\\admin", 400),
        ("/pub/mcp/%252e%252e/admin", 400),
        ("/pub/mcp/%00", 400),
        ("/pub/mcp/a%0d%0ab", 400),
        ("/pub/mcp/%ff", 400),
        ("/pub/mcp/a?b", 400),
        ("/pub/mcp/a#b", 400),
        ("/pub/mcp/a b", 400),
        ("http://evil.test/pub/mcp/a", 400),
        ("pub/mcp/a", 400),
    ],
)
def test_a_path_that_could_be_another_one_is_refused_t46(raw: str, status: int) -> None:
    with pytest.raises(Unmappable) as refusal:
        resolve(raw)
    assert refusal.value.status == status


def test_a_path_that_is_not_the_one_that_was_judged_is_refused_t46() -> None:
    with pytest.raises(Unmappable):
        resolve("/pub/mcp/a", path="/pub/mcp/b")


@pytest.mark.parametrize("query", ["a b", "a#b", "a\x00", "a\r\nb", "é"])
def test_a_query_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(Unmappable):
        resolve("/pub/mcp", query)


@pytest.mark.parametrize(
    "upstream",
    [
        "",
        "/mcp",
        "inner:3000",
        "ftp://inner/mcp",
        "http:///mcp",
        "http://inner:99999/mcp",
        "http://user:secret@inner/mcp",
        "http://inner/mcp#secret",
        "http://inner/a b",
        "http://inner/a/../b",
        "http://inner//b",
        "http://innér/mcp",
    ],
)
def test_an_upstream_that_is_none_is_refused(upstream: str) -> None:
    with pytest.raises(ValueError, match=r"^upstream ") as refusal:
        Addresses(resource=RESOURCE, upstream=upstream)
    assert "secret" not in str(refusal.value)
