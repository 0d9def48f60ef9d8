"""Passkeys (WebAuthn): what a browser is asked for, and whether what it answers is right.

The relying party is the public address of the settings, never what a request says of itself. User verification is
always asked for and checked, so that a passkey is two factors: the device, and the finger, face or PIN that opens it.

A challenge is made without storing anything (ADR 0004): random bytes and the time under a MAC over what it is for and
whose browser it was given to. It is spent in the transaction that acts on the answer, so it works once.

Spec: W3C WebAuthn Level 3 §7.1, §7.2; T2, T36, T38
"""

import ipaddress
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from doorward.oauth.ids import TokenHash

from .secrets import hash_secret, sign_value, verify_value

CEREMONY_LIFE_MS = 300_000
MAX_ANSWER = 16_384
CHALLENGES = "passkey-challenge"
"""The space in which spent challenges are remembered."""
Purpose = Literal["sign-in", "add"]
_ALGORITHMS = (-7, -8, -257)
"""ES256, EdDSA, RS256."""
_RANDOM_BYTES, _TIME_BYTES, _MAC_LENGTH = 16, 8, 43
_HEAD = _RANDOM_BYTES + _TIME_BYTES
_MAX_CREDENTIAL_ID = 1023
_VERIFIED = UserVerificationRequirement.REQUIRED


class PasskeyRefused(Exception):  # noqa: N818  # an answer that is not right, not a fault
    """The browser's answer is not right. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are for: the host name and the origin of the public address."""

    rp_id: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What is kept of a passkey that was just made, and the challenge it was made for."""

    credential_id: bytes
    credential: bytes
    sign_count: int
    is_backup_eligible: bool
    is_backed_up: bool
    challenge: bytes


@dataclass(frozen=True, slots=True)
class Assertion:
    """A passkey's answer before it is checked: which one it says it is, whose, and to which challenge."""

    credential_id: bytes
    user_handle: bytes
    challenge: bytes
    response: AuthenticationResponse


@dataclass(frozen=True, slots=True)
class UsedPasskey:
    """What a checked answer says of the passkey's state."""

    sign_count: int
    is_backed_up: bool


def find_relying_party(public_url: str, name: str) -> RelyingParty | None:
    """The relying party of a public address; None for a bare IP address, which passkeys cannot be for."""
    host = urlsplit(public_url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return RelyingParty(host, public_url, name) if host else None
    return None


def new_challenge(key: bytes, purpose: Purpose, holder: str, now: int) -> bytes:
    """A challenge for one purpose and one holder, a browser or a session of a project. Spec: WebAuthn §13.4.3"""
    head = os.urandom(_RANDOM_BYTES) + now.to_bytes(_TIME_BYTES, "big")
    return head + sign_value(key, f"passkey-{purpose}", f"{holder}\x00{head.hex()}").encode()


def is_challenge_ours(key: bytes, purpose: Purpose, holder: str, challenge: bytes, now: int) -> bool:
    """Whether we gave the challenge to this holder for this purpose, not long ago."""
    head, mac = challenge[:_HEAD], challenge[_HEAD:]
    if len(mac) != _MAC_LENGTH or not mac.isascii():
        return False
    made_at = int.from_bytes(head[_RANDOM_BYTES:], "big")
    is_ours = verify_value(key, f"passkey-{purpose}", f"{holder}\x00{head.hex()}", mac.decode())
    return is_ours and 0 <= now - made_at <= CEREMONY_LIFE_MS


def hash_challenge(challenge: bytes) -> TokenHash:
    """What a spent challenge is remembered by."""
    return hash_secret(challenge.hex())


def build_creation_options(
    party: RelyingParty, user: tuple[str, str, str], known: Iterable[bytes], challenge: bytes
) -> dict[str, Any]:
    """What a browser needs to make a passkey; `user` is (id, address, name), `known` the ids of those there are."""
    user_id, address, name = user
    entity = PublicKeyCredentialUserEntity(id=user_id.encode(), name=address, display_name=name or address)
    descriptors = [PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=each) for each in known]
    options, _ = _server(party).register_begin(
        entity,
        credentials=descriptors,
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_VERIFIED,
        challenge=challenge,
    )
    return dict(options.public_key)


def build_request_options(party: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """What a browser needs to sign somebody in whom nobody has named yet."""
    options, _ = _server(party).authenticate_begin(user_verification=_VERIFIED, challenge=challenge)
    return dict(options.public_key)


def read_new_passkey(party: RelyingParty, text: str) -> NewPasskey:
    """Check the answer to creation options, all but whose its challenge is. Raises `PasskeyRefused`."""
    try:
        response = RegistrationResponse.from_dict(_load(text))
        client_data = response.response.client_data
        made = _server(party).register_complete(_state(client_data.challenge), response)
        data = made.credential_data
        if client_data.cross_origin or data is None:
            raise ValueError("It was made inside a page of somebody else.")
        if dict(data.public_key).get(3) not in _ALGORITHMS or data.credential_id != response.raw_id:
            raise ValueError("It is of a kind that was not asked for.")
        if not 0 < len(data.credential_id) <= _MAX_CREDENTIAL_ID:
            raise ValueError("Its id is too long.")
    except Exception as error:  # noqa: BLE001  # a stranger's CBOR fails in every way there is
        raise PasskeyRefused(_why(error)) from None
    return NewPasskey(
        data.credential_id,
        bytes(data),
        made.counter,
        made.is_backup_eligible(),
        made.is_backed_up(),
        client_data.challenge,
    )


def parse_assertion(text: str) -> Assertion:
    """Read the answer to request options; nothing of it is checked yet. Raises `PasskeyRefused`."""
    try:
        response = AuthenticationResponse.from_dict(_load(text))
        answer = response.response
        return Assertion(response.raw_id, answer.user_handle or b"", answer.client_data.challenge, response)
    except Exception as error:  # noqa: BLE001  # as above
        raise PasskeyRefused(_why(error)) from None


def check_assertion(party: RelyingParty, assertion: Assertion, credential: bytes) -> UsedPasskey:
    """Check an answer against the passkey that is kept, all but whose its challenge is. Raises `PasskeyRefused`."""
    data = assertion.response.response.authenticator_data
    try:
        if assertion.response.response.client_data.cross_origin:
            raise ValueError("It was given inside a page of somebody else.")
        known = [AttestedCredentialData(credential)]
        _server(party).authenticate_complete(_state(assertion.challenge), known, assertion.response)
    except Exception as error:  # noqa: BLE001  # as above
        raise PasskeyRefused(_why(error)) from None
    return UsedPasskey(data.counter, data.is_backed_up())


def _server(party: RelyingParty) -> Fido2Server:
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=party.rp_id, name=party.name),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == party.origin,
    )
    server.allowed_algorithms = [each for each in server.allowed_algorithms if each.alg in _ALGORITHMS]
    server.timeout = CEREMONY_LIFE_MS  # type: ignore[assignment]  # fido2 gives its attribute the type of None
    return server


def _state(challenge: bytes) -> dict[str, Any]:
    """What fido2 compares an answer with. The challenge is the answer's own: the MAC in it says whose it is."""
    return {"challenge": websafe_encode(challenge), "user_verification": _VERIFIED}


def _load(text: str) -> Mapping[str, Any]:
    if len(text) > MAX_ANSWER:
        raise ValueError("It is too long.")
    loaded = json.loads(text)
    if not isinstance(loaded, dict):
        raise TypeError("It is no object.")
    return loaded


def _why(error: Exception) -> str:
    """The library's own sentences name no secret; of anything else only the kind is told."""
    return str(error) if type(error) is ValueError else type(error).__name__
