"""PKCE, S256 only. Spec: RFC 7636; OAuth 2.1 §7.5.1 (PKCE-01 … PKCE-07)"""

import hashlib
import re
from base64 import urlsafe_b64encode

from .errors import invalid_request

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def parse_challenge(challenge: str | None, method: str | None) -> str:
    """The S256 challenge of an authorization request; anything else is refused for every client.

    Spec: PKCE-02, PKCE-03 (a missing method means plain), PKCE-05
    """
    if challenge is None:
        raise invalid_request("PKCE is required: send code_challenge with code_challenge_method=S256.")
    if method != "S256":
        raise invalid_request("The only supported code_challenge_method is S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise invalid_request("The code_challenge must be 43 base64url characters.")
    return challenge


def parse_verifier(verifier: str | None) -> str:
    """The verifier of a token request, checked for form only. Spec: RFC 7636 §4.1 (PKCE-04, PKCE-05)"""
    if verifier is None:
        raise invalid_request("The parameter code_verifier is required.")
    if not _VERIFIER.fullmatch(verifier):
        raise invalid_request("The code_verifier must be 43 to 128 unreserved characters.")
    return verifier


def build_challenge(verifier: str) -> str:
    """The S256 challenge of a verifier. Spec: RFC 7636 §4.2"""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
