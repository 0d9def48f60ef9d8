"""How a person signs in, as they change it themselves, and as an operator resets it.

Whoever calls for a person has made sure that they signed in not long ago. Each change ends the person's other
sessions where it takes something away, and is audited in its own transaction (I7).

Spec: OWASP ASVS 5.0 §6.5, §7.4, §7.5; T39, T41
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from doorward.core import audit
from doorward.core.factors import (
    MAX_NAME,
    MAX_PASSKEYS,
    Passkey,
    find_totp_step,
    hash_recovery_code,
    new_recovery_codes,
    new_totp_secret,
    totp_purpose,
)
from doorward.core.models import AuditEvent, Project, Session, User
from doorward.core.secrets import new_id
from doorward.core.webauthn import CEREMONY_LIFE_MS, CHALLENGES, NewPasskey, hash_challenge
from doorward.oauth.ids import TokenHash
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.encryption import encrypt_at_rest
from doorward.storage.passkeys import (
    add_passkey,
    count_passkeys,
    list_passkeys,
    remove_passkey,
    remove_passkeys,
    rename_passkey,
)
from doorward.storage.projects import hold_project
from doorward.storage.second_factors import (
    confirm_totp,
    count_recovery_codes,
    find_totp,
    list_recovery_codes,
    list_totp_owners,
    propose_totp,
    remove_totp,
    replace_recovery_codes,
)
from doorward.storage.spent_ids import claim_id
from doorward.storage.users import end_other_sessions, has_password, set_password

from .operator import ActionRefused, Operator

_NOBODY = TokenHash(b"")


@dataclass(frozen=True, slots=True)
class Factors:
    """How a person can sign in. `codes_used_at` has one entry for each recovery code, None for one that is unused."""

    has_password: bool
    passkeys: list[Passkey]
    has_authenticator: bool
    codes_used_at: list[int | None]

    @property
    def codes_left(self) -> int:
        return sum(used_at is None for used_at in self.codes_used_at)


async def load(operator: Operator, user: User) -> Factors:
    """How this person can sign in."""
    return await operator.database.read(_load, user)


async def add_own_passkey(operator: Operator, user: User, made: NewPasskey, name: str) -> Passkey:
    """Keep a passkey that this person just made, and spend its challenge. Raises `ActionRefused`."""
    passkey = Passkey(
        project_id=user.project_id,
        passkey_id=new_id("pky"),
        user_id=user.user_id,
        credential_id=made.credential_id,
        credential=made.credential,
        sign_count=made.sign_count,
        is_backup_eligible=made.is_backup_eligible,
        is_backed_up=made.is_backed_up,
        name=_check_name(name),
        created_at=operator.clock(),
    )
    await operator.database.write(_add_passkey, passkey, made.challenge, operator.actor)
    return passkey


async def rename_own_passkey(operator: Operator, user: User, passkey_id: str, name: str) -> None:
    """Give a passkey another name. Raises `ActionRefused`."""
    await operator.database.write(_rename, user, passkey_id, _check_name(name), operator.actor, operator.clock())


async def remove_own_passkey(operator: Operator, user: User, passkey_id: str, current: Session) -> None:
    """Remove a passkey and end the other sessions. Raises `ActionRefused` for the last way in."""
    await operator.database.write(_remove_passkey, user, passkey_id, current, operator.actor, operator.clock())


async def propose_authenticator(operator: Operator, user: User) -> str:
    """The secret for a new authenticator app, which counts once a code of it is seen. Raises `ActionRefused`."""
    secret = new_totp_secret()
    if not await operator.database.write(_propose, operator, user, secret, operator.clock()):
        raise ActionRefused("You have an authenticator app already. Remove it first.")
    return secret


async def find_proposed(operator: Operator, user: User) -> str | None:
    """The secret that was proposed and not confirmed yet."""
    totp = await operator.database.read(find_totp, user.project_id, user.user_id)
    if totp is None or totp.confirmed_at is not None:
        return None
    return operator.vault.decrypt(totp.ciphertext, totp_purpose(user.project_id, user.user_id)).decode()


async def confirm_authenticator(operator: Operator, user: User, code: str) -> list[str]:
    """Make the proposed app a second step, and make recovery codes, shown this once. Raises `ActionRefused`."""
    now = operator.clock()
    totp = await operator.database.read(find_totp, user.project_id, user.user_id)
    secret = await find_proposed(operator, user)
    if totp is None or secret is None:
        raise ActionRefused("The set-up is over. Start it again.", about="start")
    step = find_totp_step(secret, code, now)
    if step is None:
        raise ActionRefused("That is not the code the app shows now. Check that the phone's clock is right.")
    codes = new_recovery_codes()
    if not await operator.database.write(_confirm, user, totp.created_at, step, codes, operator.actor, now):
        raise ActionRefused("The set-up is over. Start it again.", about="start")
    return codes


async def remove_authenticator(operator: Operator, user: User, current: Session) -> None:
    """Remove the app with the recovery codes, and end the other sessions."""
    await operator.database.write(_remove_authenticator, user, current, operator.actor, operator.clock())


async def make_recovery_codes(operator: Operator, user: User) -> list[str]:
    """Fresh recovery codes, shown this once; those of before are void. Raises `ActionRefused`."""
    codes = new_recovery_codes()
    if not await operator.database.write(_make_codes, user, codes, operator.actor, operator.clock()):
        raise ActionRefused("Recovery codes are for people with an authenticator app.")
    return codes


async def remove_password(operator: Operator, user: User, current: Session) -> None:
    """Let a person in by passkey alone, and end the other sessions. Raises `ActionRefused` for the last way in."""
    await operator.database.write(_remove_password, user, current, operator.actor, operator.clock())


async def reset(operator: Operator, user: User) -> None:
    """Remove every passkey, the app and the recovery codes of a person who lost them, and end every session."""
    await operator.database.write(_reset, user, operator.actor, operator.clock())


async def describe_all(operator: Operator, project: Project, people: Sequence[User]) -> list[dict[str, Any]]:
    """What people have besides a password, as operators see it; in the order of `people`."""
    passkeys, apps, codes = await operator.database.read(_count, project)
    return [
        {
            "passkeys": passkeys.get(user.user_id, 0),
            "authenticator": user.user_id in apps,
            "recovery_codes": codes.get(user.user_id, 0),
        }
        for user in people
    ]


def _check_name(name: str) -> str:
    shown = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(shown.split())[:MAX_NAME] or "Passkey"


async def _load(tx: Transaction, user: User) -> Factors:
    totp = await find_totp(tx, user.project_id, user.user_id)
    return Factors(
        has_password=await has_password(tx, user.project_id, user.user_id),
        passkeys=await list_passkeys(tx, user.project_id, user.user_id),
        has_authenticator=totp is not None and totp.confirmed_at is not None,
        codes_used_at=await list_recovery_codes(tx, user.project_id, user.user_id),
    )


async def _count(tx: Transaction, project: Project) -> tuple[dict[Any, int], frozenset[Any], dict[Any, int]]:
    return (
        await count_passkeys(tx, project.project_id),
        await list_totp_owners(tx, project.project_id),
        await count_recovery_codes(tx, project.project_id),
    )


async def _add_passkey(tx: Transaction, passkey: Passkey, challenge: bytes, actor: str) -> None:
    project_id, now = passkey.project_id, passkey.created_at
    if not await claim_id(tx, project_id, CHALLENGES, hash_challenge(challenge), now + CEREMONY_LIFE_MS):
        raise ActionRefused("This was sent before. The passkey is in the list if it was added.")
    if len(await list_passkeys(tx, project_id, passkey.user_id)) >= MAX_PASSKEYS:
        raise ActionRefused(f"You have {MAX_PASSKEYS} passkeys. Remove one first.")
    if not await add_passkey(tx, passkey):
        raise ActionRefused("This passkey is in use here already.")
    detail = {"passkey": passkey.passkey_id, "name": passkey.name}
    await record(tx, project_id, AuditEvent(audit.PASSKEY_ADDED, actor, _target(passkey.user_id), detail), now)


async def _rename(tx: Transaction, user: User, passkey_id: str, name: str, actor: str, now: int) -> None:
    if not await rename_passkey(tx, user.project_id, user.user_id, passkey_id, name=name):
        raise ActionRefused("There is no such passkey.")
    detail = {"passkey": passkey_id, "name": name}
    await record(tx, user.project_id, AuditEvent(audit.PASSKEY_RENAMED, actor, _target(user.user_id), detail), now)


async def _remove_passkey(tx: Transaction, user: User, passkey_id: str, current: Session, actor: str, now: int) -> None:
    await hold_project(tx, user.project_id)  # of two last ways in, removed at once, one stays
    if not await remove_passkey(tx, user.project_id, user.user_id, passkey_id):
        raise ActionRefused("There is no such passkey.")
    factors = await _load(tx, user)
    if not factors.has_password and not factors.passkeys:
        raise ActionRefused("This is your only way in. Set a password or add another passkey first.")
    event = AuditEvent(audit.PASSKEY_REMOVED, actor, _target(user.user_id), {"passkey": passkey_id})
    await _record_ending(tx, user, event, current.session_hash, now)


async def _propose(tx: Transaction, operator: Operator, user: User, secret: str, now: int) -> bool:
    purpose = totp_purpose(user.project_id, user.user_id)
    ciphertext = await encrypt_at_rest(tx, operator.vault, secret.encode(), purpose)
    return await propose_totp(tx, user.project_id, user.user_id, ciphertext, now)


async def _confirm(
    tx: Transaction, user: User, proposed_at: int, step: int, codes: list[str], actor: str, now: int
) -> bool:
    project_id, user_id = user.project_id, user.user_id
    if not await confirm_totp(tx, project_id, user_id, proposed_at=proposed_at, step=step, now=now):
        return False
    await replace_recovery_codes(tx, project_id, user_id, [hash_recovery_code(user_id, code) for code in codes], now)
    await record(tx, project_id, AuditEvent(audit.AUTHENTICATOR_ADDED, actor, _target(user_id)), now)
    return True


async def _remove_authenticator(tx: Transaction, user: User, current: Session, actor: str, now: int) -> None:
    if await remove_totp(tx, user.project_id, user.user_id):
        await replace_recovery_codes(tx, user.project_id, user.user_id, (), now)
        event = AuditEvent(audit.AUTHENTICATOR_REMOVED, actor, _target(user.user_id))
        await _record_ending(tx, user, event, current.session_hash, now)


async def _make_codes(tx: Transaction, user: User, codes: list[str], actor: str, now: int) -> bool:
    project_id, user_id = user.project_id, user.user_id
    if not (await _load(tx, user)).has_authenticator:
        return False
    await replace_recovery_codes(tx, project_id, user_id, [hash_recovery_code(user_id, code) for code in codes], now)
    await record(tx, project_id, AuditEvent(audit.RECOVERY_CODES_MADE, actor, _target(user_id)), now)
    return True


async def _remove_password(tx: Transaction, user: User, current: Session, actor: str, now: int) -> None:
    await hold_project(tx, user.project_id)
    if not await list_passkeys(tx, user.project_id, user.user_id):
        raise ActionRefused("This is your only way in. Add a passkey first.")
    await set_password(tx, user.project_id, user.user_id, "")
    event = AuditEvent(audit.USER_CHANGED, actor, _target(user.user_id), {"removed": ["password"]})
    await _record_ending(tx, user, event, current.session_hash, now)


async def _reset(tx: Transaction, user: User, actor: str, now: int) -> None:
    detail = {
        "passkeys": await remove_passkeys(tx, user.project_id, user.user_id),
        "authenticator": await remove_totp(tx, user.project_id, user.user_id),
    }
    await replace_recovery_codes(tx, user.project_id, user.user_id, (), now)
    event = AuditEvent(audit.FACTORS_RESET, actor, _target(user.user_id), detail)
    await _record_ending(tx, user, event, _NOBODY, now)


async def _record_ending(tx: Transaction, user: User, event: AuditEvent, spare: TokenHash, now: int) -> None:
    """Record a change that takes something away, and end the person's sessions but `spare` with it."""
    ended = await end_other_sessions(tx, user.project_id, user.user_id, spare)
    recorded = replace(event, detail={**event.detail, "sessions": ended})
    await record(tx, user.project_id, recorded, now)


def _target(user_id: str) -> str:
    return audit.user_actor(user_id)
