"""Brings a database to the schema of this release.

Alembic renders the SQL and the executor runs it, in one transaction: so no second driver opens the file, both
databases take the same path, and an interrupted migration leaves the old schema whole.
"""

from io import StringIO
from pathlib import Path
from typing import Any

from .executor_sqlite import SqliteDatabase
from .migrations import HEAD
from .statements import Dialect

_FOLDER = Path(__file__).parent / "migrations"
FRESH = _FOLDER / "fresh_sqlite.sql"
"""What the migrations render to for an empty database: a first start need not load Alembic to know it."""


class UnknownSchema(Exception):  # noqa: N818  # names the state, and stops a start
    """The database was written by a newer release than this one."""


def current_revision(database: SqliteDatabase) -> str | None:
    """The revision a database is at, or None for an empty one."""
    exists = database.scalar("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
    return str(database.scalar("SELECT version_num FROM alembic_version")) if exists else None


def migrate(database: SqliteDatabase) -> bool:
    """Bring the database to this release's schema; returns whether anything was done. Raises `UnknownSchema`."""
    current = current_revision(database)
    if current == HEAD:
        return False
    script = FRESH.read_text(encoding="utf-8") if current is None else render_upgrade(current, "sqlite")
    database.execute_script(script)
    return True


def render_upgrade(current: str | None, dialect: Dialect) -> str:
    """The SQL from `current` to this release's schema."""
    from alembic.config import Config  # noqa: PLC0415  # slow to import, and needed only when there is work
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    script = ScriptDirectory.from_config(config)
    output = StringIO()

    def steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001  # what alembic's own commands call

    try:
        with EnvironmentContext(config, script, fn=steps, as_sql=True, starting_rev=current) as environment:
            environment.configure(dialect_name=dialect, transactional_ddl=False, output_buffer=output)
            environment.run_migrations()
    except CommandError as error:
        raise UnknownSchema(f"The database is at schema {current}, which this release does not know.") from error
    return output.getvalue()
