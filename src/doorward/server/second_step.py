"""The second step of a sign-in: a code of the authenticator app, or one of the recovery codes.

What the browser holds between the steps names a row here, and opens nothing else. Which step comes next is read from
that row, never from a field of a form (T41).

Spec: threats T39, T41; RFC 6238 §5.2; OWASP ASVS 5.0 §6.5
"""

from doorward.core import audit
from doorward.core.factors import (
    PendingSignIn,
    TotpSecret,
    find_totp_step,
    hash_recovery_code,
    new_recovery_codes,
    totp_purpose,
)
from doorward.core.limits import SECOND_STEP_ACCOUNT, SECOND_STEP_DEVICE
from doorward.core.models import AuditEvent, Session, User
from doorward.core.secrets import PENDING_SIGN_IN, hash_secret, is_well_formed
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.pending_sign_ins import consume_pending_sign_in, find_pending_sign_in
from doorward.storage.second_factors import (
    confirm_totp,
    find_totp,
    list_recovery_codes,
    replace_recovery_codes,
    spend_recovery_code,
    spend_totp_step,
)
from doorward.storage.throttles import reset
from doorward.storage.users import find_user

from .context import Context
from .sessions import SignedIn, SignInTry, count_try, is_device_of, keep_device, new_session, start_recorded_session
from .tenancy import ProjectView

_NO_STEP = -1


async def find_half_signed_in(
    context: Context, view: ProjectView, pending_token: str, browser: str, *, now: int
) -> PendingSignIn | None:
    """The sign-in that waits in this browser for its second step."""
    if not is_well_formed(pending_token, PENDING_SIGN_IN):
        return None
    return await context.database.read(
        find_pending_sign_in, view.project.project_id, hash_secret(pending_token), hash_secret(browser), now
    )


async def give_up(context: Context, view: ProjectView, pending: PendingSignIn, *, now: int) -> None:
    """End a half-done sign-in, to start over."""
    await context.database.write(
        consume_pending_sign_in, view.project.project_id, pending.token_hash, pending.browser_hash, now
    )


async def has_app(context: Context, pending: PendingSignIn) -> bool:
    """Whether the person has an authenticator app, or has to set one up now."""
    totp = await context.database.read(find_totp, pending.project_id, pending.user_id)
    return totp is not None and totp.confirmed_at is not None


async def finish_sign_in(
    context: Context, view: ProjectView, pending: PendingSignIn, code: str, attempt: SignInTry
) -> SignedIn | None:
    """Take a code and start the session; None when the code is wrong, or was taken before.

    Tries are counted before any work is done, on the source and on the account; a browser that signed in before has a
    bucket of its own. Raises `TooManyRequests`.
    """
    project_id = view.project.project_id
    known = is_device_of(context, project_id, pending.user_id, attempt.device_token)
    limit = SECOND_STEP_DEVICE if known else SECOND_STEP_ACCOUNT
    await count_try(context, project_id, attempt, limit, pending.user_id)
    user = await context.database.read(find_user, project_id, pending.user_id)
    totp = await context.database.read(find_totp, project_id, pending.user_id)
    if user is None or not user.enabled or totp is None:
        return None
    secret = context.vault.decrypt(totp.ciphertext, totp_purpose(project_id, user.user_id)).decode()
    step = find_totp_step(secret, code, attempt.now)
    session_token, session = new_session(user, attempt)
    taken = await context.database.write(_finish, pending, session, attempt, code, _NO_STEP if step is None else step)
    if not taken:
        return None
    await context.database.write(reset, project_id, limit, pending.user_id)
    return SignedIn(session_token, keep_device(context, user, attempt), user)


async def _finish(
    tx: Transaction, pending: PendingSignIn, session: Session, attempt: SignInTry, code: str, step: int
) -> bool:
    """Take the code, then the half-done sign-in, and start the session: all of it, or at most a code is used up."""
    by = await _take_code(tx, session, attempt, code, step)
    if by is None:
        return False
    spent = await consume_pending_sign_in(tx, pending.project_id, pending.token_hash, pending.browser_hash, attempt.now)
    if spent is None:
        return False
    await start_recorded_session(tx, session, attempt.source, by=by)
    return True


async def _take_code(tx: Transaction, session: Session, attempt: SignInTry, code: str, step: int) -> str | None:
    """What the code was, once it is taken and nobody can use it again; None when it is no good."""
    project_id, user_id = session.project_id, session.user_id
    if step != _NO_STEP:
        return "authenticator app" if await spend_totp_step(tx, project_id, user_id, step) else None
    code_hash = hash_recovery_code(user_id, code)
    if not await spend_recovery_code(tx, project_id, user_id, code_hash, attempt.now):
        return None
    left = sum(used_at is None for used_at in await list_recovery_codes(tx, project_id, user_id))
    actor = audit.user_actor(user_id)
    event = AuditEvent(audit.RECOVERY_CODE_USED, actor, actor, {"left": left, "source": attempt.source})
    await record(tx, project_id, event, attempt.now)
    return "recovery code"


async def finish_with_new_app(
    context: Context, view: ProjectView, pending: PendingSignIn, code: str, attempt: SignInTry
) -> tuple[SignedIn, list[str]] | None:
    """Make the app that was proposed the person's own, and start the session: with it come recovery codes.

    None when the code is wrong. Raises `TooManyRequests`.
    """
    project_id = view.project.project_id
    await count_try(context, project_id, attempt, SECOND_STEP_ACCOUNT, pending.user_id)
    user = await context.database.read(find_user, project_id, pending.user_id)
    totp = await context.database.read(find_totp, project_id, pending.user_id)
    if user is None or not user.enabled or totp is None:
        return None
    secret = context.vault.decrypt(totp.ciphertext, totp_purpose(project_id, user.user_id)).decode()
    step = find_totp_step(secret, code, attempt.now)
    if step is None:
        return None
    codes = new_recovery_codes()
    session_token, session = new_session(user, attempt)
    if not await context.database.write(_finish_with_new_app, pending, session, attempt, totp, step, codes):
        return None
    await context.database.write(reset, project_id, SECOND_STEP_ACCOUNT, pending.user_id)
    return SignedIn(session_token, keep_device(context, user, attempt), user), codes


async def _finish_with_new_app(
    tx: Transaction,
    pending: PendingSignIn,
    session: Session,
    attempt: SignInTry,
    totp: TotpSecret,
    step: int,
    codes: list[str],
) -> bool:
    """Take the half-done sign-in first: where the app was set up elsewhere meanwhile, the person starts over."""
    project_id, user_id, now = session.project_id, session.user_id, attempt.now
    if await consume_pending_sign_in(tx, project_id, pending.token_hash, pending.browser_hash, now) is None:
        return False
    if not await confirm_totp(tx, project_id, user_id, proposed_at=totp.created_at, step=step, now=now):
        return False
    await replace_recovery_codes(tx, project_id, user_id, [hash_recovery_code(user_id, code) for code in codes], now)
    actor = audit.user_actor(user_id)
    await record(tx, project_id, AuditEvent(audit.AUTHENTICATOR_ADDED, actor, actor), now)
    await start_recorded_session(tx, session, attempt.source, by="authenticator app")
    return True


async def find_person(context: Context, pending: PendingSignIn) -> User | None:
    """Whose sign-in it is, for the page's words."""
    return await context.database.read(find_user, pending.project_id, pending.user_id)
