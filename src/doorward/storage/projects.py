"""Projects and the server's own secrets."""

import json
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import bindparam, delete, null, select, update

from doorward.core.models import Project, ProjectSettings
from doorward.oauth.ids import ProjectId
from doorward.oauth.revocations import WHOLE_PROJECT

from .database import Row, Transaction
from .revocations import announce
from .schema import projects, server_secrets
from .statements import Statement, insert_row, later_of

_COLUMNS = (
    projects.c.project_id,
    projects.c.slug,
    projects.c.name,
    projects.c.settings,
    projects.c.created_at,
    projects.c.void_before,
    projects.c.stopped_at,
)
_INSERT = Statement(
    lambda insert: insert(projects).values(_binds()).on_conflict_do_nothing().returning(projects.c.slug)
)
_BY_SLUG = Statement(select(*_COLUMNS).where(projects.c.slug == bindparam("slug")))
_ALL = Statement(select(*_COLUMNS).order_by(projects.c.created_at, projects.c.slug))
_UPDATE = Statement(
    update(projects)
    .where(projects.c.project_id == bindparam("of_project"))
    .values(name=bindparam("new_name"), settings=bindparam("new_settings"))
)
_THIS_PROJECT = projects.c.project_id == bindparam("of_project")
_VOID = Statement(
    update(projects)
    .where(_THIS_PROJECT)
    .values(void_before=later_of(projects.c.void_before, "now"))
    .returning(projects.c.slug)
)
_STOP = Statement(
    update(projects)
    .where(_THIS_PROJECT, projects.c.stopped_at.is_(None))
    .values(stopped_at=bindparam("now"))
    .returning(projects.c.slug)
)
_RESUME = Statement(
    update(projects)
    .where(_THIS_PROJECT, projects.c.stopped_at.is_not(None))
    .values(stopped_at=null())
    .returning(projects.c.slug)
)
_INSERT_SECRET = Statement(insert_row(server_secrets))
_REMOVE_SECRET = Statement(
    delete(server_secrets).where(server_secrets.c.purpose == bindparam("purpose")).returning(server_secrets.c.purpose)
)
_REPLACE_SECRET = Statement(
    update(server_secrets)
    .where(server_secrets.c.purpose == bindparam("of_purpose"))
    .values(ciphertext=bindparam("new_ciphertext"))
)
_HOLD = Statement(
    select(projects.c.project_id).where(projects.c.project_id == bindparam("project_id")).with_for_update()
)
_SECRETS = Statement(select(server_secrets.c.purpose, server_secrets.c.ciphertext))


def _binds() -> dict[str, object]:
    return {column.name: bindparam(column.name) for column in projects.columns}


async def add_project(tx: Transaction, project: Project) -> bool:
    """Store a project; False when its slug is taken."""
    row = await tx.one(
        _INSERT,
        project_id=project.project_id,
        slug=project.slug,
        name=project.name,
        settings=_dump_settings(project.settings),
        created_at=project.created_at,
        void_before=project.void_before,
        stopped_at=project.stopped_at,
        revocation_seq=0,
    )
    return row is not None


async def find_project(tx: Transaction, slug: str) -> Project | None:
    """The project that lives under a slug."""
    row = await tx.one(_BY_SLUG, slug=slug)
    return _load(row) if row else None


async def list_projects(tx: Transaction) -> list[Project]:
    """Every project, oldest first."""
    return [_load(row) for row in await tx.all(_ALL)]


async def update_project(tx: Transaction, project: Project) -> bool:
    """Store a project's new name and settings."""
    changed = await tx.run(
        _UPDATE,
        of_project=project.project_id,
        new_name=project.name,
        new_settings=_dump_settings(project.settings),
    )
    return changed == 1


async def hold_project(tx: Transaction, project_id: ProjectId) -> None:
    """Let no other transaction that holds the project come between what this one reads of it and what it writes."""
    await tx.one(_HOLD, project_id=project_id)


async def void_project_grants(tx: Transaction, project_id: ProjectId, now: int) -> bool:
    """End every grant, token and session of a project in one step, and announce it."""
    if await tx.one(_VOID, of_project=project_id, now=now) is None:
        return False
    await announce(tx, project_id, "project", WHOLE_PROJECT, "void", now, now)
    return True


async def stop_project(tx: Transaction, project_id: ProjectId, now: int) -> bool:
    """Let nothing of a project in until it is resumed, and announce it; True for the call that stopped it."""
    if await tx.one(_STOP, of_project=project_id, now=now) is None:
        return False
    await announce(tx, project_id, "project", WHOLE_PROJECT, "hold", now, now)
    return True


async def resume_project(tx: Transaction, project_id: ProjectId, now: int) -> bool:
    """Take a stop back and announce it; True for the call that did."""
    if await tx.one(_RESUME, of_project=project_id) is None:
        return False
    await announce(tx, project_id, "project", WHOLE_PROJECT, "free", now, now)
    return True


async def add_server_secret(tx: Transaction, purpose: str, ciphertext: bytes, now: int) -> None:
    """Store one of the server's own secrets, already encrypted."""
    await tx.run(_INSERT_SECRET, purpose=purpose, ciphertext=ciphertext, created_at=now)


async def replace_server_secret(tx: Transaction, purpose: str, ciphertext: bytes) -> int:
    """Store the same secret under another master key; how many there were."""
    return await tx.run(_REPLACE_SECRET, of_purpose=purpose, new_ciphertext=ciphertext)


async def remove_server_secret(tx: Transaction, purpose: str) -> bool:
    """Forget one of the server's own secrets; True for the call that did."""
    return await tx.one(_REMOVE_SECRET, purpose=purpose) is not None


async def list_server_secrets(tx: Transaction) -> dict[str, bytes]:
    """The server's own secrets by purpose, as ciphertexts."""
    return dict(await tx.all(_SECRETS))


def _load(row: Row) -> Project:
    project_id, slug, name, settings, created_at, void_before, stopped_at = row
    known = {field.name for field in fields(ProjectSettings)}
    stored = json.loads(settings).items()
    chosen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored if key in known
    }
    settings = ProjectSettings(**chosen)
    return Project(ProjectId(project_id), slug, name, settings, created_at, void_before, stopped_at)


def _dump_settings(settings: ProjectSettings) -> str:
    """Only what differs from the defaults, so that a better default reaches old projects."""
    defaults = asdict(ProjectSettings())
    return json.dumps({name: value for name, value in asdict(settings).items() if value != defaults[name]})
