"""Encryption at rest: bound to its purpose, under a key it names, readable in the form it had before (AT-06, T49)."""

import os
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from doorward.core.vault import UnknownMasterKey, Vault, name_master_key, parse_master_keys

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def encrypt_without_name(key: bytes, plaintext: bytes, purpose: str, nonce: bytes | None = None) -> bytes:
    """As releases did before ciphertexts named their key."""
    nonce = nonce or os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, purpose.encode())


def test_what_is_encrypted_opens_for_its_purpose_with_its_key_at_06_t49() -> None:
    sealed = Vault([OLD]).encrypt(b"private", "signing-key/a")
    assert b"private" not in sealed
    assert Vault([OLD]).decrypt(sealed, "signing-key/a") == b"private"
    for vault, purpose in ((Vault([OLD]), "signing-key/b"), (Vault([NEW]), "signing-key/a")):
        with pytest.raises(UnknownMasterKey, match=f"The master key does not decrypt {purpose}"):
            vault.decrypt(sealed, purpose)


def test_a_ciphertext_names_its_key_and_the_name_tells_nothing_of_it() -> None:
    first, second = (Vault([OLD]).encrypt(b"x", "p") for _ in range(2))
    assert first[:12] == second[:12] == b"mk1:" + name_master_key(OLD)
    assert first[12:] != second[12:]
    assert name_master_key(OLD) not in OLD
    assert name_master_key(OLD) != name_master_key(NEW)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    old = Vault([OLD]).encrypt(b"private", "p")
    both = Vault([NEW, OLD])
    assert both.decrypt(old, "p") == b"private"
    assert Vault([NEW]).decrypt(both.encrypt(b"private", "p"), "p") == b"private"


@pytest.mark.parametrize("nonce", [None, b"mk1:" + bytes(8), b"mk1:" + name_master_key(OLD)])
def test_a_ciphertext_of_before_there_were_names_is_still_read(nonce: bytes | None) -> None:
    sealed = encrypt_without_name(OLD, b"private", "p", nonce)
    assert Vault([OLD]).decrypt(sealed, "p") == b"private"
    assert Vault([NEW, OLD]).decrypt(sealed, "p") == b"private"
    with pytest.raises(UnknownMasterKey):
        Vault([OLD]).decrypt(sealed, "q")


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_changed_byte_anywhere_opens_nothing(at: int) -> None:
    sealed = bytearray(Vault([OLD]).encrypt(b"a secret of thirty-two bytes!!!!", "p"))
    sealed[at] ^= 1
    with pytest.raises(UnknownMasterKey):
        Vault([OLD]).decrypt(bytes(sealed), "p")


@pytest.mark.parametrize("length", range(30))
def test_the_beginning_of_a_ciphertext_opens_nothing(length: int) -> None:
    with pytest.raises(UnknownMasterKey):
        Vault([OLD]).decrypt(Vault([OLD]).encrypt(b"private", "p")[:length], "p")


def test_what_is_added_takes_the_key_of_what_is_there() -> None:
    both = Vault([NEW, OLD])
    for neighbour in (Vault([OLD]).encrypt(b"n", "neighbour"), encrypt_without_name(OLD, b"n", "neighbour")):
        sealed = both.encrypt_beside(neighbour, "neighbour", b"private", "p")
        assert Vault([OLD]).decrypt(sealed, "p") == b"private"
    with pytest.raises(UnknownMasterKey):
        both.encrypt_beside(Vault([OTHER]).encrypt(b"n", "neighbour"), "neighbour", b"private", "p")


def test_rewrapping_is_needed_until_the_first_key_is_the_one() -> None:
    both = Vault([NEW, OLD])
    for sealed in (Vault([OLD]).encrypt(b"private", "p"), encrypt_without_name(NEW, b"private", "p")):
        rewrapped = both.rewrap(sealed, "p")
        assert rewrapped is not None
        assert Vault([NEW]).decrypt(rewrapped, "p") == b"private"
        assert both.rewrap(rewrapped, "p") is None
        with pytest.raises(UnknownMasterKey):
            both.rewrap(rewrapped, "q")


def test_a_key_that_came_meanwhile_is_read_again_and_the_old_one_stays_known() -> None:
    asked: list[int] = []

    def reread() -> tuple[bytes, ...]:
        asked.append(1)
        return (NEW,)

    vault = Vault([OLD], reread)
    old = vault.encrypt(b"old", "p")
    assert vault.decrypt(old, "p") == b"old"
    assert asked == []
    assert vault.decrypt(Vault([NEW]).encrypt(b"new", "p"), "p") == b"new"
    assert vault.decrypt(old, "p") == b"old"
    assert Vault([NEW]).decrypt(vault.encrypt(b"later", "p"), "p") == b"later"
    assert asked == [1]


def test_a_key_that_nobody_has_stays_unknown() -> None:
    sealed = Vault([OTHER]).encrypt(b"private", "p")
    for reread in (None, lambda: (), lambda: (NEW,)):
        with pytest.raises(UnknownMasterKey):
            Vault([OLD], reread).decrypt(sealed, "p")


@pytest.mark.parametrize("keys", [(), (b"",), (b"x" * 31,), (OLD, b"x" * 33)])
def test_what_is_no_key_is_refused(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(keys)


@pytest.mark.parametrize("between", [",", "\n", " , ", "\r\n", "\n\n"])
def test_keys_are_read_the_newest_first(between: str) -> None:
    assert parse_master_keys(f" {NEW.hex()}{between}{OLD.hex()}\n") == (NEW, OLD)
    assert parse_master_keys(OLD.hex().upper()) == (OLD,)


@pytest.mark.parametrize(
    "text", ["", " ", "changeme", "01" * 31, "01" * 33, f"{'01' * 32},", f"{'01' * 32};{'02' * 32}", "é" * 64]
)
def test_what_spells_no_keys_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # fromhex has words of its own
        parse_master_keys(text)


def test_a_nonce_is_never_used_twice() -> None:
    vault = Vault([OLD])
    nonces = sorted(vault.encrypt(b"same", "p")[12:24] for _ in range(1000))
    assert all(one != other for one, other in pairwise(nonces))
