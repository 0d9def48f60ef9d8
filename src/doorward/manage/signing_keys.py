"""Signing keys of a project: when the next one comes, and getting rid of one that somebody else may have."""

from doorward.core import audit
from doorward.core.models import AuditEvent, Project
from doorward.core.rotation import SIGNING_ALGORITHMS
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.key_rotation import publish_first_key, publish_key_at_once, publish_next_key
from doorward.storage.projects import hold_project
from doorward.storage.signing_keys import StoredSigningKey, list_signing_keys, remove_signing_keys

from .operator import ActionRefused, NotFound, Operator


async def list_keys(operator: Operator, project: Project) -> list[StoredSigningKey]:
    """The published signing keys of a project."""
    return await operator.database.read(list_signing_keys, project.project_id, operator.clock())


async def rotate(operator: Operator, project: Project, alg: str = "") -> list[StoredSigningKey]:
    """Publish the next key of an algorithm, or of each that the project has one of. Raises `ActionRefused`.

    It signs once every cache can hold it, and the others leave after it does. An algorithm that the project has no
    key of gets its first.
    """
    _check_algorithm(alg)
    held = await list_keys(operator, project)
    algorithms = [alg] if alg else sorted({key.alg for key in held if key.removed_at is None})
    pairs = [generate_signing_key(name) for name in algorithms]
    return await operator.database.write(_rotate, operator, project, pairs, operator.clock())


async def replace_at_once(operator: Operator, project: Project, alg: str = "") -> list[StoredSigningKey]:
    """Withdraw every key of an algorithm, or of all of them, with everything they signed; new ones sign at once.

    For keys that somebody else may have. Clients refresh and go on; refresh tokens and opaque tokens are not signed
    and stay good. Raises `ActionRefused`.
    """
    _check_algorithm(alg)
    held = [key for key in await list_keys(operator, project) if alg in ("", key.alg)]
    if not held:
        raise NotFound(f"There is no key of {alg}.")
    algorithms = sorted({key.alg for key in held})
    staying = {key.alg for key in held if key.removed_at is None}
    pairs = {name: generate_signing_key(name) if name in staying else None for name in algorithms}
    return await operator.database.write(_replace, operator, project, pairs, operator.clock())


def _check_algorithm(alg: str) -> None:
    if alg and alg not in SIGNING_ALGORITHMS:
        raise ActionRefused(f"Tokens are signed by one of {', '.join(SIGNING_ALGORITHMS)}.")


async def _rotate(
    tx: Transaction, operator: Operator, project: Project, pairs: list[SigningKey], now: int
) -> list[StoredSigningKey]:
    await hold_project(tx, project.project_id)
    published: list[StoredSigningKey] = []
    for pair in pairs:
        key = await publish_next_key(tx, operator.vault, project.project_id, pair, now=now)
        key = key or await publish_first_key(tx, operator.vault, project.project_id, pair, now)
        if key is not None:
            event = AuditEvent(
                audit.SIGNING_KEY_ADDED, operator.actor, key.kid, {"alg": key.alg, "signs_from": key.signs_from}
            )
            await record(tx, project.project_id, event, now)
            published.append(key)
    return published


async def _replace(
    tx: Transaction, operator: Operator, project: Project, pairs: dict[str, SigningKey | None], now: int
) -> list[StoredSigningKey]:
    published: list[StoredSigningKey] = []
    for alg, pair in pairs.items():
        if pair is None:
            removed = await remove_signing_keys(tx, project.project_id, alg, now)
            event = AuditEvent(audit.SIGNING_KEY_REMOVED, operator.actor, alg, {"removed": removed})
        else:
            key, removed = await publish_key_at_once(tx, operator.vault, project.project_id, pair, now)
            published.append(key)
            event = AuditEvent(audit.SIGNING_KEY_ADDED, operator.actor, key.kid, {"alg": alg, "removed": removed})
        await record(tx, project.project_id, event, now)
    return published
