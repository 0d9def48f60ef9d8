"""How a client proves who it is at an issuer's endpoints, by the one method that was agreed on.

A secret goes to nobody but the issuer it was given by; an assertion is worth nothing anywhere else.

Spec: OAuth 2.1 §2.4; RFC 6749 §2.3.1; RFC 7523 §2.2 as changed by rfc7523bis (CLI-08, DCR-18, CAU-02, CIMD-29)
"""

import secrets
from base64 import b64encode
from urllib.parse import quote

from doorward.oauth.assertions import ASSERTION_TYPE
from doorward.oauth.jwt import SigningKey, sign_jwt

from .errors import IssuerChanged, RegistrationFailed
from .records import Registration

ASSERTION_JWT_TYPE = "client-authentication+jwt"
ASSERTION_SECONDS = 60
NO_AUTHENTICATION = "none"
SECRET_BASIC = "client_secret_basic"
SECRET_POST = "client_secret_post"
PRIVATE_KEY_JWT = "private_key_jwt"
METHODS = (NO_AUTHENTICATION, SECRET_BASIC, SECRET_POST, PRIVATE_KEY_JWT)
"""The methods that can be asked for when registering."""


def choose_method(supported: tuple[str, ...] | None, *, has_secret: bool, has_key: bool, registered: str | None) -> str:
    """The method to use: the one the registration answered, else the first that both sides can do.

    `supported` is None where the metadata does not say, which means `client_secret_basic`. A key is the program's own
    choice and comes before a secret; of the two ways to send a secret, the server's first is taken. What the server
    does not list is used only when there is nothing else, since a list may speak of clients that register alone.
    Raises `RegistrationFailed` for an answered method that nobody here has, such as one with a certificate.

    Spec: RFC 8414 §2; RFC 7591 §3.2.1 (DCR-18); CIMD-29
    """
    listed = (SECRET_BASIC,) if supported is None else supported
    able = [
        *([PRIVATE_KEY_JWT] if has_key else []),
        *(order_secret_methods(listed) if has_secret else []),
        NO_AUTHENTICATION,
    ]
    if registered is not None and registered not in METHODS:
        raise RegistrationFailed("The client was registered with a way to authenticate that Doorward does not have.")
    if registered in able:
        return registered
    return next((method for method in able if method in listed), able[0])


def order_secret_methods(listed: tuple[str, ...]) -> list[str]:
    """Both ways to send a secret, in the order of the server's list.

    Servers made with the MCP SDK list the form first: with Basic they want the client_id in the form as well, and
    revoke nothing.
    """
    return sorted((SECRET_BASIC, SECRET_POST), key=lambda method: (*listed, method).index(method))


def build_client_authentication(
    registration: Registration,
    *,
    issuer: str,
    supported: tuple[str, ...] | None,
    signing_key: SigningKey | None,
    now: float,
) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and form fields that prove this client to `issuer`; neither may be logged.

    What was registered, or says itself in its document, keeps to that method; given credentials follow `supported`,
    the methods in the issuer's metadata as it is now. Each call signs an assertion of its own, so a retry needs
    another call. Raises `IssuerChanged` for an issuer that the registration is not for: nothing was built then.

    Spec: RFC 6749 §2.3.1; CRED-02 (T7, T32)
    """
    if registration.issuer != issuer:
        raise IssuerChanged("The credentials of one authorization server would go to another one; they did not.")
    method = choose_method(
        supported,
        has_secret=bool(registration.client_secret),
        has_key=signing_key is not None,
        registered=None if registration.kind == "preregistered" else registration.token_endpoint_auth_method,
    )
    fields = {"client_id": registration.client_id} if registration.client_id else {}
    secret = registration.client_secret or ""
    if method == SECRET_BASIC:
        return {"authorization": f"Basic {_encode_basic(registration.client_id, secret)}"}, {}
    if method == SECRET_POST:
        return {}, {**fields, "client_secret": secret}
    if method == PRIVATE_KEY_JWT and signing_key is not None:
        assertion = build_client_assertion(registration.client_id, issuer=issuer, key=signing_key, now=now)
        return {}, {**fields, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return {}, fields


def build_client_assertion(client_id: str, *, issuer: str, key: SigningKey, now: float) -> str:
    """A JWT that is this client for a minute, once, at `issuer` alone.

    The audience is the issuer as one string: with an endpoint's address, or several values, a server could pass the
    assertion on to another one.

    Spec: rfc7523bis §4 (CLI-08, T32)
    """
    issued_at = int(now)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "jti": secrets.token_urlsafe(24),
        "iat": issued_at,
        "exp": issued_at + ASSERTION_SECONDS,
    }
    return sign_jwt(ASSERTION_JWT_TYPE, claims, key)


def _encode_basic(client_id: str, secret: str) -> str:
    """Form-encoded before they are joined, so that a colon in an id does not move the border. Spec: RFC 6749 §2.3.1"""
    return b64encode(f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()
