"""Projects: tenants with an issuer, keys, people, clients and resources of their own."""

import re
from dataclasses import asdict, fields, replace
from typing import Any

from doorward.core import audit
from doorward.core.models import DEFAULT_SLUG, REGISTRATION_MODES, REUSE_POLICIES, AuditEvent, Project, ProjectSettings
from doorward.core.policy import is_approved_entry
from doorward.core.rotation import DEFAULT_ALGORITHM
from doorward.core.secrets import new_id
from doorward.oauth.ids import ProjectId
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.key_rotation import publish_key_at_once
from doorward.storage.projects import add_project, find_project, hold_project, list_projects, update_project

from .operator import ActionRefused, Conflict, Operator

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_SWITCHES = frozenset({"documents", "development", "device_flow", "dpop_nonces", "require_second_factor"})
_CHOICES: dict[str, tuple[str, ...]] = {
    "registration_mode": REGISTRATION_MODES,
    "public_refresh_policy": REUSE_POLICIES,
    "confidential_refresh_policy": REUSE_POLICIES,
}
_LISTS = frozenset({"approved_redirects", "document_hosts", "blocked_hosts"})
_LIFETIME_BOUNDS = {
    "access_token_seconds": (60, 3600),
    "code_seconds": (60, 600),
    "refresh_idle_seconds": (3600, 365 * 86400),
    "refresh_absolute_seconds": (3600, 730 * 86400),
    "client_secret_seconds": (0, 3650 * 86400),
    "signing_key_days": (0, 3650),
}


async def create_project(operator: Operator, slug: str, name: str) -> Project:
    """Make a project with a first signing key, which signs at once. Raises `ActionRefused`."""
    if not _SLUG.fullmatch(slug):
        raise ActionRefused("A slug has 1 to 40 lower-case letters, digits and inner hyphens.")
    now = operator.clock()
    project = Project(ProjectId(new_id("prj")), slug, name.strip()[:128] or slug, ProjectSettings(), now)
    if not await operator.database.write(_create, operator, project, generate_signing_key(DEFAULT_ALGORITHM), now):
        raise Conflict(f"There is a project {slug} already.")
    return project


async def list_all(operator: Operator) -> list[Project]:
    """Every project, oldest first."""
    return await operator.database.read(list_projects)


async def change_project(operator: Operator, project: Project, changes: dict[str, Any]) -> Project:
    """Change a project's name or settings; unknown names and values out of bounds are refused."""
    known = {field.name for field in fields(ProjectSettings)}
    chosen = {name: value for name, value in changes.items() if name != "name"}
    if unknown := chosen.keys() - known:
        raise ActionRefused(
            f"There is no setting {', '.join(sorted(unknown))}. Known: name, {', '.join(sorted(known))}."
        )
    for name, value in chosen.items():
        _check_setting(name, value)
    return await operator.database.write(_change, project, changes, operator)


def parse_setting(name: str, text: str) -> Any:
    """A setting's value as a command line spells it; whether it is good is for `change_project` to say."""
    if name in _LISTS:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name in _SWITCHES and text in ("true", "false"):
        return text == "true"
    return int(text) if text.isascii() and text.isdigit() else text


def describe(project: Project) -> dict[str, Any]:
    """A project as operators see it."""
    return {
        "slug": project.slug,
        "name": project.name,
        "path": project.path or "/",
        "default": project.slug == DEFAULT_SLUG,
        "stopped_at": project.stopped_at,
        **asdict(project.settings),
    }


def _check_setting(name: str, value: Any) -> None:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ActionRefused(f"{name} is one of {', '.join(_CHOICES[name])}.")
        return
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise ActionRefused(f"{name} is true or false.")
        return
    if name in _LISTS:
        if not isinstance(value, tuple) or not all(isinstance(entry, str) and entry for entry in value):
            raise ActionRefused(f"{name} is a list, separated by commas.")
        if name == "approved_redirects" and (bad := [entry for entry in value if not is_approved_entry(entry)]):
            raise ActionRefused(
                f"{bad[0]} approves too much: name a whole URI, https://host/path/*, loopback or scheme:"
            )
        return
    low, high = _LIFETIME_BOUNDS[name]
    if not isinstance(value, int) or not low <= value <= high:
        unit = "days" if name.endswith("_days") else "seconds"
        raise ActionRefused(f"{name} is a number of {unit} from {low} to {high}.")


async def _create(tx: Transaction, operator: Operator, project: Project, key: SigningKey, now: int) -> bool:
    if not await add_project(tx, project):
        return False
    await publish_key_at_once(tx, operator.vault, project.project_id, key, now)
    event = AuditEvent(audit.PROJECT_CREATED, operator.actor, project.slug, {"kid": key.kid})
    await record(tx, project.project_id, event, now)
    return True


async def _change(tx: Transaction, project: Project, changes: dict[str, Any], operator: Operator) -> Project:
    """Change what is asked for of the project as it is by now: what somebody else changed meanwhile stays."""
    await hold_project(tx, project.project_id)
    found = await find_project(tx, project.slug) or project
    chosen = {name: value for name, value in changes.items() if name != "name"}
    name = str(changes.get("name", "")).strip()[:128] or found.name
    changed = replace(found, name=name, settings=replace(found.settings, **chosen))
    await update_project(tx, changed)
    event = AuditEvent(audit.PROJECT_CHANGED, operator.actor, project.slug, changes)
    await record(tx, project.project_id, event, operator.clock())
    return changed
