"""Signing in and browser sessions: who is at the other end of a page.

Spec: threats T39 … T41; security defaults, session and login limits
"""

from dataclasses import dataclass

from doorward.core import audit
from doorward.core.agents import MAX_AGENT_LENGTH, describe_agent
from doorward.core.factors import PENDING_LIFE_MS, PendingSignIn
from doorward.core.limits import LOGIN_ACCOUNT, LOGIN_DEVICE, LOGIN_SOURCE, Limit
from doorward.core.models import AuditEvent, Session, User
from doorward.core.passwords import email_key, needs_rehash
from doorward.core.secrets import (
    PENDING_SIGN_IN,
    SESSION,
    hash_secret,
    is_well_formed,
    new_id,
    new_secret,
    sign_value,
    verify_value,
)
from doorward.oauth.ids import ProjectId, UserId
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.pending_sign_ins import add_pending_sign_in
from doorward.storage.second_factors import find_totp
from doorward.storage.throttles import reset, spend
from doorward.storage.users import (
    end_session,
    find_credentials,
    find_session,
    set_password,
    start_session,
    touch_session,
)

from .context import Context
from .tenancy import ProjectView
from .too_many import TooManyRequests

IDLE_MS = 3_600_000
LIFE_MS = 24 * 3_600_000
STAFF_LIFE_MS = 12 * 3_600_000
TOUCH_EVERY_MS = 60_000
_ADMINISTRATORS = frozenset({"owner", "admin"})
_DEVICE = "device"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A started session: the value of its cookie, and one that recognises this browser at the next sign-in."""

    session_token: str
    device_token: str
    user: User


@dataclass(frozen=True, slots=True)
class Device:
    """The browser that a decision was made in: the same id for everything of it, and what it calls itself."""

    device_id: bytes
    label: str


@dataclass(frozen=True, slots=True)
class HalfSignedIn:
    """The password was right, and a second step is needed: no session, and only this token to go on with (T41)."""

    pending_token: str
    user: User


@dataclass(frozen=True, slots=True)
class SignInTry:
    """One try to sign in: where it comes from, and what the browser keeps. `now` is epoch milliseconds."""

    source: str
    agent: str
    device_token: str
    browser: str
    """What the browser's forms are bound to. What a sign-in leaves half done can be finished there alone."""
    now: int


async def sign_in(
    context: Context, view: ProjectView, email: str, password: str, attempt: SignInTry
) -> SignedIn | HalfSignedIn | None:
    """Check a password: start a session with a new id, or wait for the second step of a person who has or needs one.

    None when the two do not match anybody enabled. Every try is counted before any work is done, on the source and on
    the account; a browser that signed in before has a bucket of its own, so that strangers cannot lock the owner out.
    Raises `TooManyRequests`.
    """
    project_id = view.project.project_id
    key = email_key(email) or ""
    credentials = await context.database.read(find_credentials, project_id, key)
    known = credentials is not None and is_device_of(
        context, project_id, credentials.user.user_id, attempt.device_token
    )
    limit = LOGIN_DEVICE if known else LOGIN_ACCOUNT
    await count_try(context, project_id, attempt, limit, key[:128])
    password_hash = credentials.password_hash if credentials else None
    right = await context.passwords.verify(password_hash, password)
    if credentials is None or not right or not credentials.user.enabled:
        return None
    user = credentials.user
    if needs_rehash(credentials.password_hash):
        await context.database.write(set_password, project_id, user.user_id, await context.passwords.hash(password))
    await context.database.write(reset, project_id, limit, key[:128])
    if await wants_second_step(context, view, user):
        return await wait_for_second_step(context, user, attempt)
    session_token, session = new_session(user, attempt)
    await context.database.write(start_recorded_session, session, attempt.source, by="password")
    return SignedIn(session_token, keep_device(context, user, attempt), user)


async def count_try(context: Context, project_id: ProjectId, attempt: SignInTry, limit: Limit, subject: str) -> None:
    """Count one try on its source and on what it is tried on. Raises `TooManyRequests`."""
    wait = await context.database.write(_count_try, project_id, attempt.source, limit, subject, attempt.now)
    if wait:
        raise TooManyRequests(wait)


def new_session(user: User, attempt: SignInTry) -> tuple[str, Session]:
    """A session for a person whose every step was right: (the value of its cookie, what is stored)."""
    token = new_secret(SESSION)
    session = Session(
        project_id=user.project_id,
        session_hash=hash_secret(token),
        user_id=user.user_id,
        created_at=attempt.now,
        last_seen_at=attempt.now,
        expires_at=attempt.now + (LIFE_MS if user.role == "member" else STAFF_LIFE_MS),
        agent=attempt.agent[:MAX_AGENT_LENGTH],
    )
    return token, session


def keep_device(context: Context, user: User, attempt: SignInTry) -> str:
    """What recognises this browser at the next sign-in: what it has, where that is of this person."""
    if is_device_of(context, user.project_id, user.user_id, attempt.device_token):
        return attempt.device_token
    return _new_device_token(context, user.project_id, user.user_id)


async def start_recorded_session(tx: Transaction, session: Session, source: str, *, by: str) -> None:
    """Store a session and that it began, in the transaction that takes what it was started with."""
    await start_session(tx, session)
    detail = {"source": source, "agent": session.agent, "by": by}
    event = AuditEvent(audit.SIGNED_IN, audit.user_actor(session.user_id), session.user_id, detail)
    await record(tx, session.project_id, event, session.created_at)


async def wants_second_step(context: Context, view: ProjectView, user: User) -> bool:
    """Whether a first step is not enough for this person, whichever it was (T41)."""
    if view.project.settings.require_second_factor and user.role in _ADMINISTRATORS:
        return True
    totp = await context.database.read(find_totp, user.project_id, user.user_id)
    return totp is not None and totp.confirmed_at is not None


async def wait_for_second_step(context: Context, user: User, attempt: SignInTry) -> HalfSignedIn:
    """Remember that the first step was right, and nothing more."""
    token = new_secret(PENDING_SIGN_IN)
    pending = PendingSignIn(
        project_id=user.project_id,
        token_hash=hash_secret(token),
        user_id=user.user_id,
        browser_hash=hash_secret(attempt.browser),
        created_at=attempt.now,
        expires_at=attempt.now + PENDING_LIFE_MS,
    )
    await context.database.write(add_pending_sign_in, pending)
    return HalfSignedIn(token, user)


async def find_signed_in(
    context: Context, view: ProjectView, session_token: str, *, now: int
) -> tuple[Session, User] | None:
    """The live session of a cookie and its person."""
    if not is_well_formed(session_token, SESSION):
        return None
    project_id = view.project.project_id
    found = await context.database.read(find_session, project_id, hash_secret(session_token), now=now, idle_ms=IDLE_MS)
    if found is not None and now - found[0].last_seen_at > TOUCH_EVERY_MS:
        await context.database.write(touch_session, project_id, found[0].session_hash, now)
    return found


async def sign_out(context: Context, session: Session, *, now: int) -> None:
    """End a session."""
    await context.database.write(_end, session, now)


def read_device(context: Context, session: Session, device_token: str, agent: str) -> Device:
    """The browser of a session. One that keeps no device cookie is told by its session, for as long as that lasts."""
    is_kept = is_device_of(context, session.project_id, session.user_id, device_token)
    return Device(hash_secret(device_token) if is_kept else session.session_hash, describe_agent(agent))


def is_device_of(context: Context, project_id: ProjectId, user_id: UserId, device_token: str) -> bool:
    """Whether a device cookie is ours, and of this person."""
    owner, _, rest = device_token.partition(".")
    browser, _, signature = rest.rpartition(".")
    value = f"{project_id}:{owner}:{browser}"
    return bool(browser) and owner == user_id and verify_value(context.form_key, _DEVICE, value, signature)


def _new_device_token(context: Context, project_id: ProjectId, user_id: UserId) -> str:
    """A cookie that is one browser's of one person's, and that nobody else can make."""
    browser = new_id("dev")
    return f"{user_id}.{browser}.{sign_value(context.form_key, _DEVICE, f'{project_id}:{user_id}:{browser}')}"


async def _count_try(tx: Transaction, project_id: ProjectId, source: str, limit: Limit, account: str, now: int) -> int:
    wait = await spend(tx, project_id, LOGIN_SOURCE, source, now)
    return wait or await spend(tx, project_id, limit, account, now)


async def _end(tx: Transaction, session: Session, now: int) -> None:
    if await end_session(tx, session.project_id, session.session_hash) is not None:
        actor = audit.user_actor(session.user_id)
        await record(tx, session.project_id, AuditEvent(audit.SIGNED_OUT, actor, session.user_id), now)
