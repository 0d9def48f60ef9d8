"""Whom an assertion speaks of: an issuer's subject → a person of the project.

The subject is the identity, within its issuer and, for a shared issuer, within its customer there. An address brings a
person and a subject together once, where the operator lets the issuer do that; from then on the subject alone counts,
so that whoever gets the address later gets nothing else (T37).

Spec: JAG-13; CHAIN §2.4.2; OpenID Connect Core §5.7
"""

from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import AuditEvent, User
from doorward.core.passwords import email_key
from doorward.core.secrets import new_id
from doorward.core.trust import TrustedIssuer, issuer_key
from doorward.oauth.grant_assertions import IdentityAssertion
from doorward.oauth.ids import UserId
from doorward.oauth.jwt import InvalidToken
from doorward.storage.audit import record
from doorward.storage.database import StorageUnavailable, Transaction
from doorward.storage.identities import find_linked_user, has_identity_at, link_identity
from doorward.storage.users import add_user, find_credentials, find_user


@dataclass(frozen=True, slots=True)
class ResolvedSubject:
    """A person, and what has to be written down for the next time."""

    user: User
    is_linked: bool
    is_new: bool = False


async def resolve_subject(
    tx: Transaction, trust: TrustedIssuer, assertion: IdentityAssertion, now: int
) -> ResolvedSubject:
    """The enabled person that the assertion speaks of; nothing is written. Raises `InvalidToken` when there is none."""
    key = issuer_key(assertion.issuer, assertion.tenant)
    user = await find_linked_user(tx, trust.project_id, key, assertion.subject)
    if user is not None:
        return ResolvedSubject(_check_enabled(user), is_linked=True)
    if assertion.tenant is not None and not any(name == "tenant" for name, _ in trust.policy.claims):
        raise InvalidToken("it is of a customer of a shared issuer that the trust does not name")
    if trust.policy.subject_by == "email" and (user := await _find_introduced(tx, trust, assertion)):
        if await has_identity_at(tx, trust.project_id, key, user.user_id):
            raise InvalidToken("the person is another subject of its issuer already")
        return ResolvedSubject(_check_enabled(user), is_linked=False)
    if trust.policy.create_people:
        return ResolvedSubject(await _build_person(tx, trust, assertion, now), is_linked=False, is_new=True)
    raise InvalidToken("nobody here is known to be its subject")


async def settle_subject(
    tx: Transaction,
    trust: TrustedIssuer,
    assertion: IdentityAssertion,
    resolved: ResolvedSubject,
    *,
    password_hash: str,
    now: int,
) -> None:
    """Write down the person, and what subject stands for them, where that is new. In the transaction that spends."""
    user = resolved.user
    if resolved.is_new:
        if not await add_user(tx, user, email_key(user.email) or "", password_hash):
            raise StorageUnavailable("the address was taken at this very moment")
        await _record(tx, trust, user, audit.USER_ADDED, now, role=user.role)
    if not resolved.is_linked:
        key = issuer_key(assertion.issuer, assertion.tenant)
        await link_identity(tx, trust.project_id, key, assertion.subject, user.user_id, now)
        await _record(tx, trust, user, audit.IDENTITY_LINKED, now, issuer=key, subject=assertion.subject)


async def _record(tx: Transaction, trust: TrustedIssuer, user: User, action: str, now: int, **detail: object) -> None:
    event = AuditEvent(action, audit.trust_actor(trust.trust_id), audit.user_actor(user.user_id), detail)
    await record(tx, trust.project_id, event, now)


async def _find_introduced(tx: Transaction, trust: TrustedIssuer, assertion: IdentityAssertion) -> User | None:
    """The person that a trusted issuer may name by our id of them, or by their address."""
    if assertion.local_subject is not None:
        user = await find_user(tx, trust.project_id, assertion.local_subject)
        if user is not None:
            return user
    key = email_key(assertion.email) if assertion.email is not None else None
    found = await find_credentials(tx, trust.project_id, key) if key is not None else None
    return found.user if found is not None else None


async def _build_person(tx: Transaction, trust: TrustedIssuer, assertion: IdentityAssertion, now: int) -> User:
    """A new person under an address that nobody has: an address alone never makes somebody another."""
    key = email_key(assertion.email) if assertion.email is not None else None
    if assertion.email is None or key is None:
        raise InvalidToken("it has no proven address to make a person of")
    if await find_credentials(tx, trust.project_id, key) is not None:
        raise InvalidToken("somebody else has the address")
    return User(
        project_id=trust.project_id,
        user_id=UserId(new_id("usr")),
        email=assertion.email,
        name="",
        role="member",
        enabled=True,
        created_at=now,
        last_login_at=None,
    )


def _check_enabled(user: User) -> User:
    if not user.enabled:
        raise InvalidToken("the person is disabled")
    return user
