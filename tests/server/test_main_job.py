"""The whole main job once through, in one process."""

from tests.inside import ISSUER, RESOURCE, Door


async def test_a_registered_client_gets_in_refreshes_and_is_revoked_gen_01(door: Door) -> None:
    client_id, tokens = await door.tokens()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    assert tokens["scope"] == "tools:read"

    refreshed = await door.refresh(client_id, tokens["refresh_token"])
    assert refreshed.status == 200
    assert refreshed.json()["refresh_token"] != tokens["refresh_token"]

    introspected = await door.context.tenancy.find()
    assert introspected is not None
    assert introspected.issuer == ISSUER
    assert introspected.resources[0].uri == RESOURCE

    revoked = await door.post_form(
        "/api/oauth/revoke", {"client_id": client_id, "token": refreshed.json()["refresh_token"]}
    )
    assert revoked.status == 200
    again = await door.refresh(client_id, refreshed.json()["refresh_token"])
    assert (again.status, again.json()["error"]) == (400, "invalid_grant")
