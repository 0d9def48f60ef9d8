"""What reads input above floor 0 returns a value or its one refusal, and never anything else."""

from collections.abc import Callable
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.asgi import Request
from doorward.core.limits import source_key
from doorward.core.minting import MintRequest, parse_mint
from doorward.core.passwords import WeakPassword, check_password, email_key, verify_password
from doorward.core.secrets import (
    CODE,
    RefreshTokens,
    hash_secret,
    is_well_formed,
    new_salt,
    new_secret,
    verify_value,
)
from doorward.core.vault import Vault
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import FamilyId
from doorward.server.client_auth import _parse_basic
from doorward.server.tenancy import split_path
from doorward.settings import Settings, UnsafeConfiguration, load_settings

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

text = st.text(st.characters(exclude_categories=[]), max_size=60)
addresses = st.ip_addresses().map(str) | text
variables = st.sampled_from(
    [
        *("DATA", "HOST", "PORT", "ISSUER", "TRUSTED_PROXIES", "ADMIN_EMAIL", "ADMIN_PASSWORD", "ADMIN_PASSWORD_FILE"),
        *("MASTER_KEY", "MASTER_KEY_FILE", "LOG", "LOG__LEVEL", "LOG__FORMAT", "LOG__X", "LOG__LEVEL__X", "CONFIG", ""),
        *("CIMD__ALLOW_CIDRS", "CIMD__MAX_BYTES", "_", "__", "X"),
    ]
)
# What an environment can hold: no NUL, no lone surrogates.
values = st.sampled_from(
    [
        "https://auth.example.com",
        "http://[::1",
        "[",
        "{",
        "127.0.0.1",
        "0",
        "8400",
        "debug",
        "00" * 32,
        "a@b.cd",
        "/",
        ".",
    ]
) | st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=60)


def outcome(call: Callable[[], T], refusal: type[E]) -> T | E:
    """What a call gave, or how it refused; anything else it raises is a failure of the test."""
    try:
        return call()
    except refusal as error:
        return error


def request_with(headers: list[tuple[bytes, bytes]]) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"method": "GET", "query_string": b"", "headers": headers, "client": None}
    return Request(scope, receive, path="/", now=0, reference="")


@given(credentials=text)
def test_basic_credentials_are_pairs_or_refused(credentials: str) -> None:
    found = outcome(lambda: _parse_basic(credentials), OAuthError)
    if isinstance(found, OAuthError):
        assert (found.code, found.status) == ("invalid_client", 401)
    else:
        assert 1 <= len(found) <= 2
        assert all(secret is None or secret for _, secret in found)


@given(value=st.binary(max_size=200))
def test_cookies_are_read_or_are_not_there(value: bytes) -> None:
    cookies = request_with([(b"cookie", value)]).cookies()
    assert all(";" not in name and ";" not in cookie for name, cookie in cookies.items())


@given(path=text)
def test_a_path_is_split_without_losing_any_of_it(path: str) -> None:
    slug, rest = split_path(path)
    assert path in (rest, f"/p/{slug}{rest}", f"/p/{slug}")


@given(address=addresses)
def test_a_source_is_an_address_a_network_or_unknown(address: str) -> None:
    key = source_key(address)
    if key != "unknown":
        network, found = ip_network(key), ip_address(address)
        assert network.prefixlen == (64 if network.version == 6 else 32)
        assert found in network or found.version != network.version  # IPv4 in an IPv6 address


@given(email=text)
def test_an_address_has_one_form_or_none(email: str) -> None:
    key = email_key(email)
    if key is not None:
        assert email_key(key) == key
        assert key.count("@") == 1
        assert key.isprintable()


@given(password=text, context=st.lists(text, max_size=3).map(tuple))
def test_a_password_is_taken_composed_or_refused_in_words(password: str, context: tuple[str, ...]) -> None:
    taken = outcome(lambda: check_password(password, context=context), WeakPassword)
    if isinstance(taken, WeakPassword):
        assert str(taken)
    else:
        assert check_password(taken, context=context) == taken


@given(
    password_hash=st.sampled_from([None, "", "!", "$argon2id$"]) | st.text(st.characters(max_codepoint=127)),
    password=text,
)
@example(password_hash="", password="a password that nobody has")
@settings(max_examples=20, deadline=None)
def test_what_is_no_hash_opens_for_no_password(password_hash: str | None, password: str) -> None:
    assert not verify_password(password_hash, password)


@given(secret=text)
def test_what_was_never_issued_is_hardly_ever_well_formed(secret: str) -> None:
    assert not is_well_formed(secret, CODE)
    assert RefreshTokens.parse(secret) is None
    assert len(hash_secret(secret)) == 32
    assert not verify_value(b"k" * 32, "purpose", "value", secret)


@given(at=st.integers(0, 60), change=st.integers(1, 255))
def test_one_changed_character_of_a_secret_is_noticed(at: int, change: int) -> None:
    secret = new_secret(CODE)
    at %= len(secret)
    changed = f"{secret[:at]}{chr((ord(secret[at]) + change) % 256)}{secret[at + 1 :]}"
    assert is_well_formed(secret, CODE)
    assert not is_well_formed(changed, CODE)


@given(generation=st.integers(0, 2**32 - 1), key=st.binary(min_size=32, max_size=32))
def test_a_derived_refresh_token_names_its_family_and_generation(generation: int, key: bytes) -> None:
    family, salt = FamilyId("A" * 22), new_salt()
    token = RefreshTokens(key).derive(family, salt, generation)
    assert RefreshTokens.parse(token) == (family, generation)
    assert token == RefreshTokens(key).derive(family, salt, generation)
    assert token != RefreshTokens(key).derive(family, new_salt(), generation)


@given(plaintext=st.binary(max_size=100), flip=st.integers(0, 10_000))
def test_a_sealed_secret_opens_whole_for_its_purpose_or_not_at_all(plaintext: bytes, flip: int) -> None:
    vault = Vault([bytes(range(32))])
    sealed = vault.encrypt(plaintext, "purpose")
    assert vault.decrypt(sealed, "purpose") == plaintext
    at, bit = divmod(flip % (len(sealed) * 8), 8)
    damaged = sealed[:at] + bytes([sealed[at] ^ (1 << bit)]) + sealed[at + 1 :]
    for ciphertext, purpose in ((damaged, "purpose"), (sealed, "other"), (sealed[:-1], "purpose"), (b"", "purpose")):
        assert isinstance(outcome(partial(vault.decrypt, ciphertext, purpose), ValueError), ValueError)


@given(environ=st.dictionaries(variables.map("DOORWARD_".__add__), values, max_size=5))
def test_an_environment_makes_settings_or_names_what_is_wrong(environ: dict[str, str]) -> None:
    made = outcome(lambda: load_settings(environ=environ), UnsafeConfiguration)
    if isinstance(made, Settings):
        assert made.is_secure or made.public_url.startswith("http://")
    else:
        assert made.setting.startswith("DOORWARD_")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
mints = st.dictionaries(
    st.sampled_from(["client_id", "subject", "scopes", "resource", "may_act"]),
    json_values | st.sampled_from(["mcl_one", "user-1", ["tools:read"], {"sub": "mcl_one"}]),
)


@given(members=mints)
def test_what_a_backend_asks_for_is_read_whole_or_refused(members: dict[str, Any]) -> None:
    read = outcome(lambda: parse_mint(members), OAuthError)
    if isinstance(read, MintRequest):
        assert read.subject == members["subject"]
        assert read.subject.isascii()
        assert read.subject.isprintable()
        assert read.may_act is None or read.may_act == members["may_act"]
        assert all(" " not in scope for scope in read.scopes)
    else:
        assert (read.code, read.status) in (("invalid_request", 400), ("invalid_scope", 400))
