"""Whom an identity of a provider stands for: a person it was linked to, or somebody new where the policy lets them in.

An address never makes one person of two: whoever comes with an address that somebody here has is told to sign in as
that person first, and to link the provider then. An address that the provider did not prove is none at all.

Spec: OpenID Connect Core 1.0 §5.7 (T37, T43)
"""

from dataclasses import dataclass
from typing import Literal

from doorward.core import audit
from doorward.core.models import AuditEvent, User
from doorward.core.passwords import email_key
from doorward.core.secrets import new_id
from doorward.core.upstream import UpstreamIdentity, UpstreamProvider
from doorward.oauth.ids import UserId
from doorward.server.context import Context
from doorward.server.sessions import (
    HalfSignedIn,
    SignedIn,
    SignInTry,
    keep_device,
    new_session,
    start_recorded_session,
    wait_for_second_step,
    wants_second_step,
)
from doorward.server.tenancy import ProjectView
from doorward.storage.audit import record
from doorward.storage.database import StorageUnavailable, Transaction
from doorward.storage.identities import find_linked_user, link_identity
from doorward.storage.users import add_user, find_credentials

Refusal = Literal["disabled", "unknown", "address_taken", "no_address", "not_invited"]
Linked = Literal["linked", "already", "taken"]
_MAX_NAME = 128
_NO_PASSWORD = ""
"""No password matches it, and checking one takes as long as for everybody else (T40)."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Nobody was signed in, and nothing was written."""

    refusal: Refusal


async def sign_in_by(
    context: Context, view: ProjectView, provider: UpstreamProvider, identity: UpstreamIdentity, attempt: SignInTry
) -> SignedIn | HalfSignedIn | TurnedAway:
    """Start a session for the person that an identity stands for, who may be made now.

    A provider is a first step, as a password is: whoever has, or needs, a second one here is asked for it (T41).
    """
    user = await context.database.write(_find_or_join, provider, identity, attempt.now)
    if isinstance(user, TurnedAway):
        return user
    if await wants_second_step(context, view, user):
        return await wait_for_second_step(context, user, attempt)
    token, session = new_session(user, attempt)
    await context.database.write(start_recorded_session, session, attempt.source, by=f"provider {provider.slug}")
    return SignedIn(token, keep_device(context, user, attempt), user)


async def link_by(
    context: Context, provider: UpstreamProvider, identity: UpstreamIdentity, user: User, now: int
) -> Linked:
    """Make an identity stand for a person who is signed in and asked for it; never one that stands for another."""
    return await context.database.write(_link, provider, identity, user, now)


async def _find_or_join(
    tx: Transaction, provider: UpstreamProvider, identity: UpstreamIdentity, now: int
) -> User | TurnedAway:
    user = await find_linked_user(tx, provider.project_id, identity.issuer, identity.subject)
    if user is None:
        return await _sign_up(tx, provider, identity, now)
    return user if user.enabled else TurnedAway("disabled")


async def _sign_up(
    tx: Transaction, provider: UpstreamProvider, identity: UpstreamIdentity, now: int
) -> User | TurnedAway:
    """A new person with a proven address that nobody has."""
    key = email_key(identity.email) if identity.email else None
    if identity.email is None or key is None:
        return TurnedAway("unknown" if provider.sign_up.mode == "closed" else "no_address")
    if await find_credentials(tx, provider.project_id, key) is not None:
        return TurnedAway("address_taken")
    if not provider.sign_up.allows(identity.email):
        return TurnedAway("unknown" if provider.sign_up.mode == "closed" else "not_invited")
    user = User(
        project_id=provider.project_id,
        user_id=UserId(new_id("usr")),
        email=identity.email,
        name=identity.name[:_MAX_NAME],
        role="member",
        enabled=True,
        created_at=now,
        last_login_at=None,
    )
    if not await add_user(tx, user, key, _NO_PASSWORD):
        return TurnedAway("address_taken")
    await _record(tx, provider, user, audit.USER_ADDED, now, role=user.role)
    if not await link_identity(tx, provider.project_id, identity.issuer, identity.subject, user.user_id, now):
        raise StorageUnavailable("the identity was linked at this very moment")
    await _record(tx, provider, user, audit.IDENTITY_LINKED, now, issuer=identity.issuer, subject=identity.subject)
    return user


async def _link(
    tx: Transaction, provider: UpstreamProvider, identity: UpstreamIdentity, user: User, now: int
) -> Linked:
    stands_for = await find_linked_user(tx, provider.project_id, identity.issuer, identity.subject)
    if stands_for is not None:
        return "already" if stands_for.user_id == user.user_id else "taken"
    if not await link_identity(tx, provider.project_id, identity.issuer, identity.subject, user.user_id, now):
        return "taken"
    detail = {"issuer": identity.issuer, "subject": identity.subject, "provider": provider.slug}
    actor = audit.user_actor(user.user_id)
    await record(tx, provider.project_id, AuditEvent(audit.IDENTITY_LINKED, actor, actor, detail), now)
    return "linked"


async def _record(
    tx: Transaction, provider: UpstreamProvider, user: User, action: str, now: int, **detail: object
) -> None:
    event = AuditEvent(action, audit.provider_actor(provider.slug), audit.user_actor(user.user_id), detail)
    await record(tx, provider.project_id, event, now)
