"""doorward.oauth.forms: bytes become one reading, or none."""

import pytest

from doorward.oauth.errors import INVALID_CLIENT_METADATA, INVALID_REQUEST, OAuthError
from doorward.oauth.forms import FORM_TYPE, MAX_FIELDS, parse_form, parse_json_object, parse_query


def test_a_form_is_read_percent_decoded_tok_01() -> None:
    form = parse_form(b"grant_type=authorization_code&code=a%20b+c%C3%A9&x=%3D", f"{FORM_TYPE}; charset=UTF-8")
    assert dict(form) == {"grant_type": "authorization_code", "code": "a b cé", "x": "="}
    assert len(form) == 3


def test_an_empty_parameter_is_absent_tok_02() -> None:
    form = parse_form(b"a=&b&c=1", FORM_TYPE)
    assert dict(form) == {"c": "1"}
    assert form.get("a") is None


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(OAuthError) as caught:
        parse_form(b"a=1", FORM_TYPE).require("code")
    assert (caught.value.code, caught.value.description) == (INVALID_REQUEST, "The parameter code is required.")
    assert parse_form(b"code=1", FORM_TYPE).require("code") == "1"


def test_resource_may_repeat_and_collapses_rfc8707() -> None:
    form = parse_form(b"resource=https://a&resource=https://b&resource=https://a", FORM_TYPE)
    assert form.resources == ("https://a", "https://b")
    assert "resource" not in form


def test_a_repeated_parameter_is_refused_in_a_form_and_reported_in_a_query_authz_02() -> None:
    with pytest.raises(OAuthError) as caught:
        parse_form(b"code=1&code=1", FORM_TYPE)
    assert caught.value.code == INVALID_REQUEST
    assert parse_query(b"state=1&state=2&x=3").repeated == {"state"}


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data; boundary=x", "text/plain", f"x{FORM_TYPE}"]
)
def test_only_a_form_is_read_as_a_form_tok_01(content_type: str) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_form(b"a=1", content_type)
    assert caught.value.code == INVALID_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b"a=\xff",
        b"a=%FF",
        b"a=%C3%28",
        b"a=%ED%A0%80",
        "a=é".encode(),
        b"a=%00",
        b"a%00=1",
        b"&".join(b"p%d=1" % number for number in range(MAX_FIELDS + 1)),
        b"&" * 1_000_000,
    ],
)
def test_what_has_no_one_reading_is_an_invalid_request_t48(body: bytes) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_form(body, FORM_TYPE)
    assert caught.value.code == INVALID_REQUEST


@pytest.mark.parametrize("body", [b"", b"%zz=1", b"=1", b"a;b=1", b"a=1;b=2"])
def test_oddities_with_one_reading_are_read(body: bytes) -> None:
    assert "b" not in parse_form(body, FORM_TYPE)


def test_a_json_object_is_read_dcr_03() -> None:
    assert parse_json_object(b'{"a": [1, {"b": null}]}', "application/json; charset=utf-8") == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "text/json"),
        (b"{}", ""),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b'"a"', "application/json"),
        (b"null", "application/json"),
        (b"{", "application/json"),
        (b"{}{}", "application/json"),
        (b"\xef\xbb\xbf{}", "application/json"),
        (b'{"a": "\xff"}', "application/json"),
        ('{"a": 1}'.encode("utf-16"), "application/json"),
        (b'{"a": 1, "a": 1}', "application/json"),
        (b'{"a": {"b": 1, "b": 2}}', "application/json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "application/json"),
        (b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}", "application/json"),
        (b'{"a": ' * 5000, "application/json"),
        (b'{"a": ' * 5000 + b"1" + b"}" * 5000, "application/json"),
    ],
)
def test_anything_else_is_invalid_client_metadata_dcr_03(body: bytes, content_type: str) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_json_object(body, content_type)
    assert caught.value.code == INVALID_CLIENT_METADATA


def test_nesting_is_read_to_thirty_two_levels() -> None:
    assert parse_json_object(b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}", "application/json")
