"""Signing in with a passkey, and what a browser is asked for to do that or to make one.

A passkey that verified its person is both steps in one. Nobody says who they are first: the passkey does, and the
signature proves it, so there is nothing to guess and nobody to enumerate (T40).

Spec: W3C WebAuthn Level 3 §7.1, §7.2; T2, T36, T38, T39
"""

from typing import Any

from doorward.core import audit
from doorward.core.factors import Passkey
from doorward.core.limits import LOGIN_SOURCE
from doorward.core.models import AuditEvent, Session, User
from doorward.core.webauthn import (
    CEREMONY_LIFE_MS,
    CHALLENGES,
    Assertion,
    NewPasskey,
    PasskeyRefused,
    RelyingParty,
    UsedPasskey,
    build_creation_options,
    build_request_options,
    check_assertion,
    find_relying_party,
    hash_challenge,
    is_challenge_ours,
    new_challenge,
    parse_assertion,
    read_new_passkey,
)
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.passkeys import find_passkey, use_passkey
from doorward.storage.spent_ids import claim_id
from doorward.storage.users import find_user

from .context import Context
from .limiter import spend_limit
from .sessions import SignedIn, SignInTry, keep_device, new_session, start_recorded_session
from .tenancy import ProjectView


def relying_party(context: Context, view: ProjectView) -> RelyingParty | None:
    """Whom passkeys of a project are for; None where the server's address is a bare IP address. Spec: T38"""
    return find_relying_party(context.settings.public_url, view.project.name)


def offer_sign_in(context: Context, view: ProjectView, browser: str, *, now: int) -> dict[str, Any] | None:
    """What this browser needs to sign somebody in with a passkey. Nothing is stored for it (ADR 0004)."""
    party = relying_party(context, view)
    if party is None:
        return None
    return build_request_options(party, new_challenge(context.form_key, "sign-in", _holder(view, browser), now))


def offer_adding(
    context: Context, view: ProjectView, user: User, passkeys: list[Passkey], browser: str, *, now: int
) -> dict[str, Any] | None:
    """What this browser needs to make a passkey for a person, who has no second one on the same device."""
    party = relying_party(context, view)
    if party is None:
        return None
    challenge = new_challenge(context.form_key, "add", _holder(view, browser), now)
    return build_creation_options(
        party, (user.user_id, user.email, user.name), [passkey.credential_id for passkey in passkeys], challenge
    )


def read_added(context: Context, view: ProjectView, answer: str, browser: str, *, now: int) -> NewPasskey:
    """A passkey that was made for what this browser was asked; its challenge is yet to be spent.

    Raises `PasskeyRefused`.
    """
    made = read_new_passkey(_require_party(context, view), answer)
    if not is_challenge_ours(context.form_key, "add", _holder(view, browser), made.challenge, now):
        raise PasskeyRefused("The challenge is old, or another browser's.")
    return made


async def sign_in_with_passkey(context: Context, view: ProjectView, answer: str, attempt: SignInTry) -> SignedIn:
    """Check a passkey's answer and start a session. Raises `PasskeyRefused` and `TooManyRequests`."""
    project_id = view.project.project_id
    await spend_limit(context, project_id, LOGIN_SOURCE, attempt.source, attempt.now)
    party = _require_party(context, view)
    assertion = parse_assertion(answer)
    if not is_challenge_ours(
        context.form_key, "sign-in", _holder(view, attempt.browser), assertion.challenge, attempt.now
    ):
        raise PasskeyRefused("The challenge is old, or another browser's.")
    passkey = await context.database.read(find_passkey, project_id, assertion.credential_id)
    user = await context.database.read(find_user, project_id, passkey.user_id) if passkey else None
    if passkey is None or user is None or not user.enabled:
        raise PasskeyRefused("The passkey is nobody's here, or of somebody who may not sign in.")
    if assertion.user_handle != user.user_id.encode():
        raise PasskeyRefused("The passkey says it is somebody else's.")
    used = check_assertion(party, assertion, passkey.credential)
    session_token, session = new_session(user, attempt)
    refusal = await context.database.write(_start, session, passkey, assertion, used, attempt)
    if refusal is not None:
        raise PasskeyRefused(refusal)
    return SignedIn(session_token, keep_device(context, user, attempt), user)


async def _start(
    tx: Transaction, session: Session, passkey: Passkey, assertion: Assertion, used: UsedPasskey, attempt: SignInTry
) -> str | None:
    """Spend the challenge, note the use and start the session; why not, where it was not started."""
    until = attempt.now + CEREMONY_LIFE_MS
    if not await claim_id(tx, session.project_id, CHALLENGES, hash_challenge(assertion.challenge), until):
        return "The challenge was answered before."
    if not await use_passkey(tx, passkey, sign_count=used.sign_count, is_backed_up=used.is_backed_up, now=attempt.now):
        actor = audit.user_actor(passkey.user_id)
        event = AuditEvent(audit.PASSKEY_COPIED, actor, passkey.passkey_id, {"source": attempt.source})
        await record(tx, session.project_id, event, attempt.now)
        return "The passkey's counter went back: there may be a copy of it."
    await start_recorded_session(tx, session, attempt.source, by="passkey")
    return None


def _require_party(context: Context, view: ProjectView) -> RelyingParty:
    party = relying_party(context, view)
    if party is None:
        raise PasskeyRefused("Passkeys cannot be for a bare IP address.")
    return party


def _holder(view: ProjectView, browser: str) -> str:
    return f"{view.project.project_id}\x00{browser}"
