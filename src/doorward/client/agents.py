"""Grants without a person: what a program that acts by itself, or for somebody who is signed in elsewhere, asks with.

Each makes the form of one token request. None is tried twice for one answer, and none falls back to another: what was
refused stays refused until somebody changes it (WIF-08).

Spec: RFC 6749 §4.4; RFC 7523 §2.1; RFC 8693; MCP OAuth Client Credentials, Enterprise-Managed Authorization, Workload
Identity Federation (CC-03, JAG-18, JAG-19, WIF-08)
"""

from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlencode

from doorward.oauth.errors import printable
from doorward.oauth.forms import FORM_TYPE
from doorward.oauth.jwt import SigningKey
from doorward.oauth.scopes import Scopes, format_scope
from doorward.oauth.strict_json import parse_strict_json

from .client_auth import build_client_authentication
from .documents import ServerMetadata
from .effects import Answer, Flow, Obtain, Send
from .errors import IssuerChanged, TokenRequestFailed
from .records import Registration

CLIENT_CREDENTIALS = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
SAML2 = "urn:ietf:params:oauth:token-type:saml2"
MAX_ASSERTION_BYTES = 65536


class AgentGrant(Protocol):
    """A way to a token that asks nobody.

    A client with one never registers by itself and never opens an authorization page. `extension` is declared in the
    client's capabilities. `needs_client_id` says whether the authorization server has to know the client. Spec: JAG-19
    """

    @property
    def grant_type(self) -> str:
        """The `grant_type` of the token request."""
        ...

    @property
    def extension(self) -> str | None:
        """The identifier of the MCP extension; None where a draft has not settled on one."""
        ...

    @property
    def needs_client_id(self) -> bool:
        """Whether a client id has to be given."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the program named beside the server: it may be contacted inside a private network."""
        ...

    def build_form(self, server: ServerMetadata, resource: str, scope: Scopes, *, now: float) -> Flow[dict[str, str]]:
        """The fields of the token request, without those that authenticate the client; they are secret.

        `now` is in epoch seconds. Raises `TokenRequestFailed` when somebody else who is asked first gives nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A program that is a client of its own: with a secret, or with a key it signs for itself. Spec: CC-03"""

    grant_type: str = field(default=CLIENT_CREDENTIALS, init=False)
    extension: str = field(default="io.modelcontextprotocol/oauth-client-credentials", init=False)
    needs_client_id: bool = field(default=True, init=False)
    addresses: tuple[str, ...] = field(default=(), init=False)

    def build_form(
        self,
        server: ServerMetadata,  # noqa: ARG002  # of the protocol
        resource: str,
        scope: Scopes,
        *,
        now: float,  # noqa: ARG002  # of the protocol
    ) -> Flow[dict[str, str]]:
        """See `AgentGrant`; nobody else is asked."""
        yield from ()
        return _build_fields(self.grant_type, resource, scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """Where people of an organisation sign in, and how this program is known there.

    `issuer` is needed with a `signing_key` alone: it is whom the key signs for. `token_endpoint_auth_method` is for
    providers that insist on `client_secret_post`.
    """

    token_endpoint: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    signing_key: SigningKey | None = field(default=None, repr=False)
    issuer: str = ""
    token_endpoint_auth_method: str | None = None

    def __post_init__(self) -> None:
        if self.signing_key is not None and not self.issuer:
            raise ValueError("Give the issuer of an identity provider that a signing_key is used with.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAssertion:
    """Enterprise-managed authorization: the organisation's identity provider vouches for the person, anew each time.

    `fetch_subject_token` gives what the person's sign-in there left, of `subject_token_type`; it may be a coroutine
    function. No page of the server's authorization server is ever opened.

    Spec: Identity Assertion JWT Authorization Grant §4 (JAG-18, JAG-19)
    """

    identity_provider: IdentityProvider
    fetch_subject_token: Callable[[], str | Awaitable[str]] = field(repr=False)
    subject_token_type: str = ID_TOKEN
    grant_type: str = field(default=JWT_BEARER, init=False)
    extension: str = field(default="io.modelcontextprotocol/enterprise-managed-authorization", init=False)
    needs_client_id: bool = field(default=True, init=False)

    @property
    def addresses(self) -> tuple[str, ...]:
        """See `AgentGrant`."""
        return (self.identity_provider.token_endpoint,)

    def build_form(self, server: ServerMetadata, resource: str, scope: Scopes, *, now: float) -> Flow[dict[str, str]]:
        """See `AgentGrant`. Raises `TokenRequestFailed` when the identity provider gives no assertion."""
        subject_token = cast("str", (yield Obtain(self.fetch_subject_token)))
        exchange = {
            **_build_fields(TOKEN_EXCHANGE, resource, scope),
            "requested_token_type": ID_JAG,
            "audience": server.issuer,
            "subject_token": subject_token,
            "subject_token_type": self.subject_token_type,
        }
        answer = cast("Answer", (yield _build_exchange(self.identity_provider, exchange, now=now)))
        return {**_build_fields(self.grant_type, resource, scope), "assertion": _parse_exchange(answer)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentity:
    """A workload that its platform vouches for: no secret is kept anywhere.

    `fetch_assertion` is called for every token request with the issuer that the assertion is for, its `aud`; it may
    be a coroutine function. `from_file` is for platforms that leave a fresh one in a file.

    Spec: SEP-1933 (WIF-01, WIF-08)
    """

    fetch_assertion: Callable[[str], str | Awaitable[str]] = field(repr=False)
    grant_type: str = field(default=JWT_BEARER, init=False)
    extension: None = field(default=None, init=False)
    needs_client_id: bool = field(default=False, init=False)
    addresses: tuple[str, ...] = field(default=(), init=False)

    @classmethod
    def from_file(cls, path: Path) -> "WorkloadIdentity":
        """With the assertion that is in a file at the time of each request: platforms renew it there.

        One that is for another issuer stays there: whoever gets it could use it at that issuer. (T7)
        """
        return cls(fetch_assertion=lambda issuer: _check_audience(_read_assertion(path), issuer))

    def build_form(
        self,
        server: ServerMetadata,
        resource: str,
        scope: Scopes,
        *,
        now: float,  # noqa: ARG002  # of the protocol
    ) -> Flow[dict[str, str]]:
        """See `AgentGrant`; the platform is asked for an assertion."""
        assertion = cast("str", (yield Obtain(partial(self.fetch_assertion, server.issuer))))
        return {**_build_fields(self.grant_type, resource, scope), "assertion": assertion}


def _build_fields(grant_type: str, resource: str, scope: Scopes) -> dict[str, str]:
    """What every grant sends: whom the token is for, and what it should allow. Spec: RES-01, CC-03"""
    fields = {"grant_type": grant_type, "resource": resource}
    return {**fields, "scope": format_scope(scope)} if scope else fields


def _build_exchange(provider: IdentityProvider, fields: dict[str, str], *, now: float) -> Send:
    known_as = Registration(
        issuer=provider.issuer,
        kind="preregistered",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
    )
    method = provider.token_endpoint_auth_method
    headers, proof = build_client_authentication(
        known_as,
        issuer=provider.issuer,
        supported=(method,) if method else None,
        signing_key=provider.signing_key,
        now=now,
    )
    return Send(
        "POST",
        provider.token_endpoint,
        "an assertion of the identity provider",
        headers={"accept": "application/json", "content-type": FORM_TYPE, **headers},
        body=urlencode({**fields, **proof}).encode(),
    )


def _parse_exchange(answer: Answer) -> str:
    """The ID-JAG in an identity provider's answer, and nothing that is of another kind. Spec: JAG-20"""
    try:
        members = parse_strict_json(answer.body)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        members = {}
    if answer.status != 200:
        raise _refused(members, answer.status)
    assertion, token_type = members.get("access_token"), members.get("token_type")
    is_assertion = members.get("issued_token_type") == ID_JAG
    is_no_access_token = isinstance(token_type, str) and token_type.lower() == "n_a"
    if not (isinstance(assertion, str) and assertion and is_assertion and is_no_access_token):
        raise TokenRequestFailed(
            "The identity provider's answer is not an ID-JAG; it has to support enterprise-managed authorization.",
            status=answer.status,
        )
    return assertion


def _refused(members: dict[str, Any], status: int) -> TokenRequestFailed:
    code = members.get("error")
    code = printable(code)[:100] if isinstance(code, str) else ""
    return TokenRequestFailed(
        f"The identity provider gave no assertion for this server: {code or 'it gave no reason'} ({status}).",
        code=code,
        status=status,
    )


def _check_audience(assertion: str, issuer: str) -> str:
    """The assertion, unless it says that it is for somebody else than `issuer`. Raises `IssuerChanged`.

    What cannot be read is nothing that any issuer would take. Spec: T7
    """
    try:
        payload = assertion.split(".")[1]
        claims = parse_strict_json(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return assertion
    audience = claims.get("aud") if isinstance(claims, dict) else None
    if audience is not None and issuer not in (audience if isinstance(audience, list) else [audience]):
        raise IssuerChanged(f"The assertion of the platform is not for {issuer}, so it was not sent there.")
    return assertion


def _read_assertion(path: Path) -> str:
    """The assertion in `path`. Raises `OSError`; a file that holds something else raises `ValueError`."""
    with path.open("rb") as file:
        raw = file.read(MAX_ASSERTION_BYTES + 1)
    text = raw.decode("ascii", "replace").strip()
    if not text or len(raw) > MAX_ASSERTION_BYTES or not text.isascii() or len(text.split()) != 1:
        raise ValueError(f"{path} does not hold an assertion of a platform.")
    return text
