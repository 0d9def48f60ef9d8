"""Issuers of somebody else's: an enterprise's identity provider, a platform of workloads, and what they sign."""

import itertools
import json
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

from joserfc import jws

from doorward.core.models import User
from doorward.core.trust import TrustedIssuer, TrustPolicy
from doorward.manage import clients, connections, trust, users
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.storage.clients import update_client_metadata
from tests.inside import ISSUER, RESOURCE, Answer, Door
from tests.running import ADMIN_EMAIL
from tests.server.steps import TOKEN, WEB_REDIRECT, basic

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
IDP = "https://acme.idp.example"
PLATFORM = "https://token.platform.example"
REPOSITORY = "acme/deploy"
SUBJECT = "U019488227"
ABSENT = object()
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Issuer:
    """One that signs. Claims and header members given as `ABSENT` are left out."""

    url: str
    key: SigningKey = field(default_factory=generate_signing_key)

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.public_jwk()]}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A JWT with a true signature, whatever it says."""
        members = _present({"alg": self.key.alg, "kid": self.key.kid, "typ": "JWT", **header})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the name EdDSA, which is what issuers sign with
            return jws.serialize_compact(members, json.dumps(_present(claims)), self.key.key, [self.key.alg])

    def id_jag(self, door: Door, caller: str, /, header: Any = None, **claims: Any) -> str:
        """An ID-JAG as it should be, but for what is given."""
        given = {
            **common_claims(door, self),
            "sub": SUBJECT,
            "aud": ISSUER,
            "client_id": caller,
            "resource": RESOURCE,
            "scope": "tools:read",
            "email": ADMIN_EMAIL,
            **claims,
        }
        return self.sign(given, **{"typ": "oauth-id-jag+jwt", **(header or {})})

    def workload(self, door: Door, header: Any = None, **claims: Any) -> str:
        """An assertion for a job of a repository, as it should be, but for what is given."""
        given = {
            **common_claims(door, self),
            "sub": f"repo:{REPOSITORY}:ref:refs/heads/main",
            "aud": ISSUER,
            "repository": REPOSITORY,
            **claims,
        }
        return self.sign(given, **(header or {}))


def common_claims(door: Door, issuer: Issuer) -> dict[str, Any]:
    now = door.clock() // 1000
    return {"iss": issuer.url, "jti": f"id-{next(_numbers)}", "iat": now, "exp": now + 300}


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ABSENT}


async def trust_idp(door: Door, issuer: Issuer, **policy: Any) -> TrustedIssuer:
    """Trust an identity provider, which may introduce people by their address unless said otherwise."""
    given = TrustPolicy(**{"subject_by": "email", **policy})
    return await _trust(door, issuer, "id-jag", given)


async def trust_platform(door: Door, issuer: Issuer, **policy: Any) -> TrustedIssuer:
    """Trust a platform for the workloads of one repository."""
    given = TrustPolicy(**{"claims": (("repository", REPOSITORY),), **policy})
    return await _trust(door, issuer, "workload", given)


async def _trust(door: Door, issuer: Issuer, kind: Any, policy: TrustPolicy) -> TrustedIssuer:
    added = await trust.add(door.operator, door.project, issuer.url, kind, policy=policy, jwks=issuer.jwks)
    door.clock.advance(seconds=1)
    return added


@dataclass(frozen=True)
class Agent:
    """A confidential client that is registered for the grant."""

    client_id: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return basic(self.client_id, self.secret)


async def agent(door: Door, **members: Any) -> Agent:
    """A registered one; there has to be a trusted issuer already, or the grant is not offered."""
    given = {
        "client_name": "Agent",
        "redirect_uris": [WEB_REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token", JWT_BEARER],
        **members,
    }
    made = await door.register(**given)
    assert JWT_BEARER in made["grant_types"]
    return Agent(made["client_id"], made["client_secret"])


async def manual_agent(door: Door, scope: str = "") -> Agent:
    """One that an operator added, with the most that it may have."""
    made, secret = await clients.add(door.operator, door.project, (WEB_REDIRECT,), confidential=True, scope=scope)
    assert secret is not None
    metadata = replace(made.metadata, grant_types=(*made.metadata.grant_types, JWT_BEARER))
    await door.context.database.write(update_client_metadata, made, metadata)
    return Agent(made.client_id, secret)


async def present(door: Door, assertion: str, caller: Agent | None = None, **fields: str) -> Answer:
    """The token request for an assertion."""
    form = {"grant_type": JWT_BEARER, "assertion": assertion, **fields}
    return await door.post_form(TOKEN, form, caller.headers if caller else None)


async def ada(door: Door) -> User:
    return await users.get(door.operator, door.project, ADMIN_EMAIL)


async def reasons(door: Door) -> list[str]:
    """Why signed assertions were refused so far, oldest first, as the audit trail has it."""
    events = await connections.recent_events(door.operator, door.project, at_most=10_000)
    return [event.detail["reason"] for event in reversed(events) if event.action == "token.assertion_refused"]
