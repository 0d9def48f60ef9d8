"""doorward.oauth.errors: the refusal every side raises and one place writes."""

from doorward.oauth import errors
from doorward.oauth.errors import INVALID_CLIENT, INVALID_GRANT, INVALID_REQUEST, OAuthError, invalid_grant


def test_the_body_has_code_and_description() -> None:
    error = OAuthError(INVALID_CLIENT, "No such client.", status=401, headers={"WWW-Authenticate": "Basic"})
    assert error.body() == {"error": "invalid_client", "error_description": "No such client."}
    assert (error.status, error.headers) == (401, {"WWW-Authenticate": "Basic"})
    assert str(error) == "invalid_client: No such client."


def test_the_description_keeps_to_the_characters_of_the_rfc_tok_05() -> None:
    body = OAuthError(INVALID_REQUEST, 'quote " backslash \\ newline \n letter é').body()
    assert body["error_description"] == "quote ' backslash ' newline ' letter '"


def test_every_reason_not_to_honour_a_grant_reads_the_same_code_06() -> None:
    first, second = invalid_grant(), invalid_grant()
    assert (first.code, first.status, first.body()) == (INVALID_GRANT, 400, second.body())


def test_an_invalid_request_is_400_unless_said_otherwise() -> None:
    assert errors.invalid_request("x").status == 400
    assert errors.invalid_request("x", status=413).status == 413


def test_codes_are_spelled_as_they_are_registered_tok_05() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and not name.startswith("_")}
    assert codes == {
        "access_denied",
        "authorization_pending",
        "consent_required",
        "expired_token",
        "insufficient_scope",
        "invalid_authorization_details",
        "invalid_client",
        "invalid_client_metadata",
        "invalid_dpop_proof",
        "invalid_grant",
        "invalid_redirect_uri",
        "invalid_request",
        "invalid_scope",
        "invalid_software_statement",
        "invalid_target",
        "invalid_token",
        "login_required",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unapproved_software_statement",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
        "unsupported_token_type",
        "use_dpop_nonce",
    }
