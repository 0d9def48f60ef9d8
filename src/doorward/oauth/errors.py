"""The one error type of the protocol, and every code Doorward answers with, in the order of their RFCs."""

import re

# RFC 6749 §4.1.2.1, §5.2
INVALID_REQUEST = "invalid_request"
INVALID_CLIENT = "invalid_client"
INVALID_GRANT = "invalid_grant"
UNAUTHORIZED_CLIENT = "unauthorized_client"
UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
INVALID_SCOPE = "invalid_scope"
ACCESS_DENIED = "access_denied"
SERVER_ERROR = "server_error"
TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
# RFC 6750 §3.1
INVALID_TOKEN = "invalid_token"
INSUFFICIENT_SCOPE = "insufficient_scope"
# RFC 7009 §2.2.1
UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"
# RFC 7591 §3.2.2
INVALID_REDIRECT_URI = "invalid_redirect_uri"
INVALID_CLIENT_METADATA = "invalid_client_metadata"
INVALID_SOFTWARE_STATEMENT = "invalid_software_statement"
UNAPPROVED_SOFTWARE_STATEMENT = "unapproved_software_statement"
# RFC 8628 §3.5
AUTHORIZATION_PENDING = "authorization_pending"
SLOW_DOWN = "slow_down"
EXPIRED_TOKEN = "expired_token"
# RFC 8707 §2
INVALID_TARGET = "invalid_target"
# RFC 9396 §5
INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
# RFC 9449 §5, §8, §9
INVALID_DPOP_PROOF = "invalid_dpop_proof"
USE_DPOP_NONCE = "use_dpop_nonce"
# OpenID Connect Core 1.0 §3.1.2.6
LOGIN_REQUIRED = "login_required"
CONSENT_REQUIRED = "consent_required"

_NOT_ALLOWED_IN_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]")


class OAuthError(Exception):
    """A refusal in the words of the RFCs, raised anywhere and written to the wire in one place.

    `description` is for the developer who reads the answer: it names what to change and never repeats input.
    `status` is the HTTP status where the error is answered directly; redirects ignore it. `reason` is for the
    operator, where the caller must not be told it all; it is never sent.

    Spec: RFC 6749 §5.2
    """

    def __init__(
        self, code: str, description: str, *, status: int = 400, headers: dict[str, str] | None = None, reason: str = ""
    ) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description
        self.status = status
        self.headers = headers or {}
        self.reason = reason or description

    def __str__(self) -> str:
        return f"{self.code}: {self.description}"

    def body(self) -> dict[str, str]:
        """The JSON members of the answer, with the character set the RFC allows. Spec: TOK-05, WWW-07"""
        return {"error": self.code, "error_description": printable(self.description)}


def printable(text: str) -> str:
    """`text` with everything outside the RFC's description characters replaced. Spec: RFC 6749 §5.2"""
    return _NOT_ALLOWED_IN_DESCRIPTION.sub("'", text)


def invalid_request(description: str, *, status: int = 400) -> OAuthError:
    """The most frequent refusal, so that call sites stay one line."""
    return OAuthError(INVALID_REQUEST, description, status=status)


def invalid_grant(reason: str = "") -> OAuthError:
    """Wrong client, expired, used or forged: one answer, so that it tells a guesser nothing. Spec: CODE-06

    `reason` is which of them it was, for the operator's timeline.
    """
    return OAuthError(
        INVALID_GRANT, "The code or refresh token is not valid for this client and request.", reason=reason
    )
