"""What of an ID token says that an address is proven: each provider has its own word for it, and silence is none."""

from typing import Any

import pytest

from doorward.oauth.id_tokens import read_claims

ENTRA = "https://login.microsoftonline.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/v2.0"
OTHER = "https://id.example.com"


@pytest.mark.parametrize(
    ("issuer", "claims", "proven"),
    [
        (OTHER, {"email_verified": True}, True),
        (OTHER, {"email_verified": "true"}, True),
        (OTHER, {"email_verified": "false"}, False),
        (OTHER, {"email_verified": 1}, False),
        (OTHER, {"xms_edov": True}, False),
        (OTHER, {}, False),
        # Administrators of Entra write any address; only whose domain it is was verified.
        (ENTRA, {"email_verified": True}, False),
        (ENTRA, {"xms_edov": True}, True),
        (ENTRA, {"xms_edov": 1}, True),
        (ENTRA, {"xms_edov": "1"}, True),
        (ENTRA, {"xms_edov": False}, False),
        (ENTRA, {"xms_edov": "0"}, False),
    ],
)
def test_only_a_providers_own_word_proves_an_address_t37(issuer: str, claims: dict[str, Any], proven: object) -> None:
    found = read_claims({"sub": "1", "email": "ada@example.com", **claims}, issuer)
    assert found.is_email_proven is proven
    assert not read_claims({"sub": "1", "email": "", **claims}, issuer).is_email_proven
