"""Project keys: the secrets of an operator's own backends, shown once."""

from typing import Any

from doorward.core import audit
from doorward.core.models import CAPABILITIES, AuditEvent, Capability, Project, ProjectKey, Resource
from doorward.core.secrets import PROJECT_KEY, hash_secret, new_id, new_secret
from doorward.oauth.ids import KeyId, TokenHash
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.keys import add_project_key, list_project_keys, revoke_project_key

from .operator import ActionRefused, NotFound, Operator


async def create(
    operator: Operator,
    project: Project,
    capabilities: tuple[Capability, ...],
    *,
    name: str = "",
    resource: Resource | None = None,
) -> tuple[ProjectKey, str]:
    """Make a key and the secret that is shown this once. With `resource` it introspects that one's tokens only.

    Raises `ActionRefused`.
    """
    unknown = [capability for capability in capabilities if capability not in CAPABILITIES]
    if unknown or not capabilities:
        raise ActionRefused(f"Name capabilities out of {', '.join(CAPABILITIES)}.")
    secret = new_secret(PROJECT_KEY)
    now = operator.clock()
    key = ProjectKey(
        project_id=project.project_id,
        key_id=KeyId(new_id("key")),
        name=name.strip()[:128],
        capabilities=tuple(dict.fromkeys(capabilities)),
        resource_id=resource.resource_id if resource else None,
        created_at=now,
        expires_at=None,
        last_used_at=None,
        revoked_at=None,
    )
    await operator.database.write(_create, key, hash_secret(secret), operator.actor, now)
    return key, secret


async def list_all(operator: Operator, project: Project) -> list[ProjectKey]:
    """The keys of a project, revoked ones too; never their secrets."""
    return await operator.database.read(list_project_keys, project.project_id)


async def revoke(operator: Operator, project: Project, key_id: str) -> None:
    """End a key at once. Raises `ActionRefused`."""
    if not await operator.database.write(_revoke, project, key_id, operator.actor, operator.clock()):
        raise NotFound(f"There is no live key {key_id}.")


def describe(key: ProjectKey) -> dict[str, Any]:
    """A key as operators see it."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "capabilities": list(key.capabilities),
        "resource_id": key.resource_id,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


async def _create(tx: Transaction, key: ProjectKey, secret_hash: TokenHash, actor: str, now: int) -> None:
    await add_project_key(tx, key, secret_hash)
    detail = {"capabilities": list(key.capabilities), "resource": key.resource_id}
    await record(tx, key.project_id, AuditEvent(audit.KEY_CREATED, actor, audit.key_actor(key.key_id), detail), now)


async def _revoke(tx: Transaction, project: Project, key_id: str, actor: str, now: int) -> bool:
    if not await revoke_project_key(tx, project.project_id, key_id, now):
        return False
    await record(tx, project.project_id, AuditEvent(audit.KEY_REVOKED, actor, audit.key_actor(key_id)), now)
    return True
