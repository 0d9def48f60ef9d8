"""doorward.oauth.metadata: what servers, resources and clients say of themselves."""

from typing import Any

import pytest

from doorward.oauth.errors import INVALID_CLIENT_METADATA, INVALID_REDIRECT_URI, OAuthError
from doorward.oauth.metadata import (
    AUTHORIZATION_SERVER,
    MAX_NAME_LENGTH,
    PROTECTED_RESOURCE,
    ClientMetadata,
    build_resource_metadata,
    keep_redirect_uris,
    load_client_metadata,
    parse_client_metadata,
    parse_registered_scope,
    well_known_url,
)
from doorward.oauth.redirects import check_redirect_uri

GRANTS = ("authorization_code", "refresh_token")
LOOPBACK = "http://127.0.0.1:33418/callback"


def parse(**members: Any) -> ClientMetadata:
    return parse_client_metadata({"redirect_uris": [LOOPBACK], **members}, supported_grants=GRANTS)


def refusal(members: dict[str, Any]) -> str:
    with pytest.raises(OAuthError) as caught:
        parse_client_metadata(members, supported_grants=GRANTS)
    return caught.value.code


@pytest.mark.parametrize(
    ("identifier", "url"),
    [
        ("https://h", "https://h/.well-known/oauth-authorization-server"),
        ("https://h/", "https://h/.well-known/oauth-authorization-server"),
        ("https://h:8443/p/acme", "https://h:8443/.well-known/oauth-authorization-server/p/acme"),
        ("https://h/p/", "https://h/.well-known/oauth-authorization-server/p"),
        ("https://h/p?x=1", "https://h/.well-known/oauth-authorization-server/p?x=1"),
    ],
)
def test_the_path_is_inserted_after_the_suffix_asm_03_prm_02(identifier: str, url: str) -> None:
    assert well_known_url(identifier, AUTHORIZATION_SERVER) == url
    assert well_known_url("https://h/mcp", PROTECTED_RESOURCE) == "https://h/.well-known/oauth-protected-resource/mcp"


def test_a_resource_document_says_what_is_known_and_leaves_out_the_rest_prm_05_07_10_11() -> None:
    document = build_resource_metadata(
        resource="https://h/mcp",
        authorization_servers=["https://auth.test"],
        scopes=["tools:read", "offline_access", "tools:read"],
    )
    assert document == {
        "resource": "https://h/mcp",
        "authorization_servers": ["https://auth.test"],
        "scopes_supported": ["tools:read"],
        "bearer_methods_supported": ["header"],
    }


def test_a_resource_document_says_which_proofs_it_takes_and_whether_it_needs_them_prm_12() -> None:
    document = build_resource_metadata(
        resource="https://h", authorization_servers=["https://a"], scopes=[], dpop_algs=["ES256"], dpop_required=True
    )
    assert document == {
        "resource": "https://h",
        "authorization_servers": ["https://a"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "dpop_bound_access_tokens_required": True,
    }


def test_empty_arrays_are_left_out_prm_04() -> None:
    document = build_resource_metadata(resource="https://h", authorization_servers=["https://a"], scopes=[], name="N")
    assert document == {
        "resource": "https://h",
        "authorization_servers": ["https://a"],
        "bearer_methods_supported": ["header"],
        "resource_name": "N",
    }


def test_a_native_client_that_says_little_is_public() -> None:
    assert parse() == ClientMetadata(
        redirect_uris=(LOOPBACK,),
        token_endpoint_auth_method="none",
        grant_types=GRANTS,
        response_types=("code",),
        application_type="native",
    )


def test_a_web_client_that_says_little_gets_a_secret() -> None:
    client = parse(redirect_uris=["https://client.test/cb"])
    assert (client.token_endpoint_auth_method, client.application_type) == ("client_secret_basic", "web")


def test_what_a_client_said_survives_storing() -> None:
    client = parse(
        client_name="My AI Tool",
        scope="tools:read tools:write",
        client_uri="https://client.test",
        contacts=["ops@client.test"],
        software_id="tool",
        software_version="1.2",
        token_endpoint_auth_method="client_secret_post",
    )
    assert load_client_metadata(client.document()) == client
    assert client.with_scope(("tools:read",)).scope == ("tools:read",)
    assert None not in client.document().values()


def test_redirect_uris_are_kept_in_order_without_repeats_dcr_05() -> None:
    uris = ["https://client.test/cb", LOOPBACK, "https://client.test/cb", "cursor://mcp/cb"]
    assert parse(redirect_uris=uris).redirect_uris == ("https://client.test/cb", LOOPBACK, "cursor://mcp/cb")


@pytest.mark.parametrize(
    "uris",
    [
        None,
        [],
        {},
        "https://client.test/cb",
        [1],
        [None],
        [[]],
        ["javascript:alert(1)"],
        [LOOPBACK, "http://evil.test/cb"],
        [f"https://client.test/{number}" for number in range(11)],
    ],
)
def test_one_bad_redirect_uri_refuses_the_registration_dcr_09(uris: Any) -> None:
    assert refusal({"redirect_uris": uris}) == INVALID_REDIRECT_URI


def test_good_redirect_uris_are_kept_and_the_others_told_apart_dcr_09() -> None:
    uris = ["data:,x", LOOPBACK, "cursor://mcp/cb", LOOPBACK, "http://evil.test/"]
    members, refused = keep_redirect_uris({"redirect_uris": uris, "x": 1}, check_redirect_uri)
    assert members == {"redirect_uris": [LOOPBACK, "cursor://mcp/cb"], "x": 1}
    assert [each.uri for each in refused] == ["data:,x", "http://evil.test/"]
    assert keep_redirect_uris({"redirect_uris": [LOOPBACK]}, check_redirect_uri)[1] == ()
    with pytest.raises(OAuthError, match="data:,x") as caught:
        keep_redirect_uris({"redirect_uris": ["data:,x", "http://evil.test/"]}, check_redirect_uri)
    assert caught.value.code == INVALID_REDIRECT_URI


def test_types_that_are_not_offered_are_dropped_dcr_14() -> None:
    client = parse(grant_types=["authorization_code", "implicit", "password"], response_types=["token", "code"])
    assert (client.grant_types, client.response_types) == (("authorization_code",), ("code",))


@pytest.mark.parametrize(
    "members",
    [
        {"grant_types": ["implicit"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": "authorization_code"},
        {"grant_types": [1]},
        {"grant_types": {"a": 1}},
        {"response_types": ["token"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": ["none"]},
        {"token_endpoint_auth_method": 1},
        {"client_name": 1},
        {"client_name": ["x"]},
        {"client_name": "x" * 3000},
        {"contacts": "ops@client.test"},
        {"contacts": ["x" * 300]},
        {"scope": ["tools:read"]},
        {"software_id": {}},
    ],
)
def test_metadata_of_the_wrong_kind_is_refused_dcr_06(members: dict[str, Any]) -> None:
    assert refusal({"redirect_uris": [LOOPBACK], **members}) == INVALID_CLIENT_METADATA


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_auth_method_is_none_given(empty: Any) -> None:
    assert parse(token_endpoint_auth_method=empty).token_endpoint_auth_method == "none"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Claude\u202e\u2066 Code", "Claude Code"),
        ("  many \t spaces\n", "many spaces"),
        ("nul\x00byte", "nul byte"),
        ("Cafe\u0301", "Café"),
        ("\ud800lone", "lone"),
        ("\u200b\u200d", None),
        ("", None),
        ("x" * 300, "x" * MAX_NAME_LENGTH),
    ],
)
def test_a_name_is_made_fit_for_display_t4(name: str, shown: str | None) -> None:
    assert parse(client_name=name).client_name == shown


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.test",
        "javascript:alert(1)",
        "https://client.test/ x",
        "https://cliént.test",
        7,
        None,
        "https://" + "a" * 3000,
    ],
)
def test_a_display_url_that_is_not_plain_https_is_dropped(uri: Any) -> None:
    client = parse(client_uri=uri, logo_uri=uri, tos_uri=uri, policy_uri=uri)
    assert (client.client_uri, client.logo_uri, client.tos_uri, client.policy_uri) == (None, None, None, None)


def test_scope_with_impossible_characters_is_dropped() -> None:
    assert parse_registered_scope({"scope": 'a "b"'}) == ()
    assert parse_registered_scope({"scope": "b a"}) == ("b", "a")
    assert parse_registered_scope({}) == ()
