"""Who may act for whom, by the claims of a token alone (TX-07, TX-08)."""

from typing import Any

import pytest

from doorward.oauth.token_exchange import build_act, permits_actor

ISSUER, GATEWAY = "https://auth.example.com", "mcl_gateway"


@pytest.mark.parametrize(
    ("claims", "permitted"),
    [
        ({}, True),
        ({"may_act": {"sub": GATEWAY}}, True),
        ({"may_act": {"sub": GATEWAY, "iss": ISSUER, "client_id": GATEWAY}}, True),
        ({"may_act": {"sub": "mcl_other"}}, False),
        ({"may_act": {"sub": GATEWAY, "iss": "https://other.example.com"}}, False),
        ({"may_act": {"sub": GATEWAY, "client_id": "mcl_other"}}, False),
        ({"may_act": {"sub": GATEWAY, "email": "gateway@example.com"}}, False),
        ({"may_act": {"client_id": GATEWAY}}, False),
        ({"may_act": {}}, False),
        ({"may_act": None}, False),
        ({"may_act": GATEWAY}, False),
        ({"may_act": [{"sub": GATEWAY}]}, False),
        ({"may_act": {"sub": [GATEWAY]}}, False),
    ],
)
def test_a_token_that_names_who_may_act_lets_nobody_else_tx_07(claims: dict[str, Any], *, permitted: bool) -> None:
    assert permits_actor(claims, issuer=ISSUER, actor=GATEWAY) is permitted


def test_who_acts_now_is_outermost_and_who_acted_before_is_inside_tx_07() -> None:
    first = build_act("mcl_first", {"sub": "usr_one"})
    assert first == {"sub": "mcl_first"}
    assert build_act("mcl_second", {"act": first}) == {"sub": "mcl_second", "act": {"sub": "mcl_first"}}
