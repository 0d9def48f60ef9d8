"""Every parser of floor 0 returns a value or refuses; it never does anything else, whatever it is given."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from doorward.oauth.bearer import parse_bearer
from doorward.oauth.dpop import DpopProof, InvalidProof, build_proof, verify_proof
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import FORM_TYPE, parse_form, parse_json_object, parse_query
from doorward.oauth.jwt import InvalidToken, parse_jwks, read_kid, verify_access_token
from doorward.oauth.metadata import load_client_metadata, parse_client_metadata
from doorward.oauth.pkce import parse_challenge, parse_verifier
from doorward.oauth.redirects import add_parameters, check_redirect_uri, match_redirect_uri
from doorward.oauth.resources import match_key, parse_resource, same_resource
from doorward.oauth.scopes import format_scope, missing, narrow, parse_scope
from tests.unit import hostile_proofs
from tests.unit.hostile_jwts import CLAIMS, HEADER, ISSUER, KEY, KEYS, NOW, encode, sign

# Text that looks like what the parsers expect, so that the search goes past the first check.
fragments = st.sampled_from(
    [
        "http",
        "https",
        ":",
        "//",
        "/",
        "\\",
        "@",
        "#",
        "?",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "localhost",
        "client.test",
        ":80",
        "%2e",
        "..",
        "javascript",
        "é",
        "。",
        "*",
        "=",
        "&",
        '"',
        "a",
    ]
) | st.sampled_from([" ", "\n", "\x00", "\ud800"])
url_like = st.one_of(st.lists(fragments, max_size=12).map("".join), st.text(max_size=60))
json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)
member_names = st.sampled_from(
    [
        "redirect_uris",
        "grant_types",
        "response_types",
        "scope",
        "client_name",
        "contacts",
        "logo_uri",
        "software_id",
        "token_endpoint_auth_method",
        "application_type",
    ]
)


def returns_or_refuses(function: Callable[[], Any]) -> Any:
    """The value, or None for the one refusal that is allowed; anything else fails the test."""
    try:
        return function()
    except OAuthError as refusal:
        error = refusal
    assert 400 <= error.status < 500
    assert all(" " <= c <= "~" for c in error.body()["error_description"])
    return None


@given(url_like)
def test_a_redirect_uri_is_of_a_kind_or_refused(uri: str) -> None:
    kind = returns_or_refuses(lambda: check_redirect_uri(uri))
    assert kind in {None, "https", "loopback", "private"}
    if kind is not None:
        assert match_redirect_uri(uri, uri)
        assert uri.isascii()
        assert "@" not in uri.split("/")[2:3]


@given(url_like, url_like)
def test_redirect_uris_match_only_what_could_be_registered(registered: str, requested: str) -> None:
    if match_redirect_uri(registered, requested) and registered != requested:
        assert returns_or_refuses(lambda: check_redirect_uri(registered)) == returns_or_refuses(
            lambda: check_redirect_uri(requested)
        )


@given(url_like, url_like)
def test_resources_are_compared_without_raising(left: str, right: str) -> None:
    assert same_resource(left, right) == same_resource(right, left)
    assert same_resource(left, left)


@given(url_like)
def test_a_resource_and_its_key_are_the_same_resource(uri: str) -> None:
    if returns_or_refuses(lambda: parse_resource(uri)) is not None:
        assert same_resource(uri, match_key(uri)) or "//" in uri.removesuffix("/")[8:]


@given(st.one_of(st.text(), st.lists(st.sampled_from(["a", "b", " ", '"', "\n", "offline_access"])).map("".join)))
def test_a_scope_is_read_back_as_it_was_written(text: str) -> None:
    scopes = returns_or_refuses(lambda: parse_scope(text))
    if scopes is not None:
        assert parse_scope(format_scope(scopes)) == scopes
        assert len(set(scopes)) == len(scopes)


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_what_is_narrowed_and_what_is_missing_make_up_the_whole(left: list[str], right: list[str]) -> None:
    assert sorted(narrow(left, right) + missing(left, right)) == sorted(left)


@given(st.binary(max_size=200))
def test_a_form_is_read_or_refused(body: bytes) -> None:
    returns_or_refuses(lambda: parse_form(body, FORM_TYPE))
    returns_or_refuses(lambda: parse_query(body))


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=8))
def test_a_form_is_read_back_as_it_was_written(values: dict[str, str]) -> None:
    usable = {name: value for name, value in values.items() if name != "resource"}
    body = urlencode(usable, errors="surrogatepass").encode()
    form = returns_or_refuses(lambda: parse_form(body, FORM_TYPE))
    if form is not None:
        assert dict(form) == usable


@given(st.one_of(st.binary(max_size=200), json_like.map(lambda value: json.dumps(value).encode())))
def test_json_is_an_object_or_refused(body: bytes) -> None:
    value = returns_or_refuses(lambda: parse_json_object(body, "application/json"))
    assert value is None or isinstance(value, dict)


@given(st.dictionaries(member_names, json_like, max_size=8), st.lists(url_like, max_size=3))
def test_a_registration_is_read_or_refused_and_survives_storing(members: dict[str, Any], uris: list[str]) -> None:
    members = {"redirect_uris": uris, **members}
    client = returns_or_refuses(lambda: parse_client_metadata(members, supported_grants=("authorization_code",)))
    if client is not None:
        assert load_client_metadata(client.document()) == client


@given(st.lists(st.one_of(st.text(), fragments.map(lambda text: f"Bearer {text}")), max_size=3))
def test_an_authorization_header_is_read_or_refused(values: list[str]) -> None:
    token = returns_or_refuses(lambda: parse_bearer(values))
    assert token is None or (token.isascii() and token.isprintable() and " " not in token)


@given(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.text(), st.just("S256")))
def test_pkce_is_read_or_refused(value: str | None, method: str | None) -> None:
    returns_or_refuses(lambda: parse_challenge(value, method))
    returns_or_refuses(lambda: parse_verifier(value))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_added_parameter_stays_one_parameter(value: str) -> None:
    uri = add_parameters("https://client.test/cb?x=1", {"state": value})
    assert parse_qs(urlsplit(uri).query, keep_blank_values=True) == {"x": ["1"], "state": [value]}


def refuses_or_verifies(token: str) -> None:
    try:
        kid = read_kid(token)
        verify_access_token(
            token, KEYS.get(kid, KEYS[KEY.kid]), issuer=ISSUER, accepts_audience=lambda _: True, now=NOW
        )
    except InvalidToken:
        return


@given(st.one_of(st.text(), st.lists(st.one_of(st.just("."), st.text("abcAZ09-_", max_size=9))).map("".join)))
def test_any_text_is_a_token_or_invalid(text: str) -> None:
    refuses_or_verifies(text)


@given(
    st.dictionaries(st.sampled_from([*HEADER, "crit", "jwk"]), json_like),
    st.dictionaries(st.sampled_from([*CLAIMS, "nbf"]), json_like),
)
def test_any_signed_header_and_claims_are_a_token_or_invalid(header: dict[str, Any], claims: dict[str, Any]) -> None:
    refuses_or_verifies(sign(HEADER | header, CLAIMS | claims))


@given(json_like, st.binary(max_size=64))
def test_any_payload_and_signature_are_a_token_or_invalid(payload: Any, signature: bytes) -> None:
    refuses_or_verifies(f"{encode(HEADER)}.{encode(json.dumps(payload).encode())}.{encode(signature)}")


@given(
    st.one_of(
        json_like,
        st.lists(st.dictionaries(st.sampled_from([*KEY.public_jwk(), "n", "e"]), json_like)).map(
            lambda keys: {"keys": keys}
        ),
    )
)
def test_any_document_is_a_key_set_or_is_not(document: Any) -> None:
    try:
        keys = parse_jwks(document)
    except ValueError:
        return
    assert all(key.alg in {"ES256", "EdDSA", "PS256", "RS256"} for key in keys.values())


def read_proof(headers: list[str], url: str = hostile_proofs.URL) -> DpopProof | None:
    try:
        return verify_proof(headers, method="POST", url=url, now=NOW, access_token="token")
    except InvalidProof:
        return None


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_headers_are_a_proof_or_not(headers: list[str]) -> None:
    assert read_proof(headers) is None


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "jwk", "kid", "crit", "jku", "x"]), json_like, max_size=3),
    st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d", "n", "e", "use", "alg", "z"]), json_like, max_size=3),
    st.dictionaries(
        st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce", "z"]), json_like | url_like, max_size=4
    ),
)
def test_any_signed_proof_holds_or_does_not(
    header: dict[str, Any], jwk: dict[str, Any], claims: dict[str, Any]
) -> None:
    head = hostile_proofs.HEADER | {"jwk": hostile_proofs.PUBLIC | jwk} | header
    found = read_proof([sign(head, hostile_proofs.CLAIMS | claims, hostile_proofs.KEY)])
    assert found is None or found.is_for("token")


@given(url_like, url_like)
def test_a_proof_is_for_its_own_url_or_for_none(htu: str, url: str) -> None:
    proof = build_proof(KEY, method="POST", url=htu, now=NOW, jti="1", access_token="token")
    for asked in (htu, url):
        if read_proof([proof], asked) is not None:
            assert asked.lower().startswith(("http://", "https://"))
            assert urlsplit(asked).hostname == urlsplit(htu).hostname
