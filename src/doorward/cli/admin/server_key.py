"""`doorward admin signing-key …` and `doorward admin master-key …`: keys that the server makes for itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Data, ProjectSlug, make_group, run_on, run_on_store, show_one, show_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.core.models import Project
    from doorward.manage.operator import Operator
    from doorward.storage.opening import Store
    from doorward.storage.signing_keys import StoredSigningKey

signing_key_commands = make_group("Keys that access tokens are signed with.")
master_key_commands = make_group("The key that encrypts all other keys at rest; of the whole server.")

_COLUMNS = ("kid", "alg", "signs_from", "removed_at")


def _show_keys(keys: "Sequence[StoredSigningKey]", *, as_json: bool) -> None:
    shown = ("kid", "alg", "created_at", "signs_from", "removed_at")
    rows: list[dict[str, Any]] = [{name: asdict(key)[name] for name in shown} for key in keys]
    show_rows(rows, _COLUMNS, as_json=as_json)


@signing_key_commands.command("list")
def signing_key_list(*, project: ProjectSlug = "default", data: Data = None, as_json: AsJson = False) -> None:
    """The published keys."""
    from doorward.manage import signing_keys  # keeps --help fast

    _show_keys(run_on(data, project, signing_keys.list_keys), as_json=as_json)


@signing_key_commands.command("rotate")
def signing_key_rotate(
    *,
    alg: Annotated[str, typer.Option(help="ES256, EdDSA or RS256; without it, each that the project has.")] = "",
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Somebody else may have a key: void what the old ones signed, now.")
    ] = False,
    project: ProjectSlug = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Publish a new key now; it signs in ten minutes, once every cache can hold it."""
    from doorward.manage import signing_keys  # keeps --help fast

    act = signing_keys.replace_at_once if emergency else signing_keys.rotate
    _show_keys(run_on(data, project, lambda operator, of: act(operator, of, alg)), as_json=as_json)


@master_key_commands.command("rotate")
def master_key_rotate(*, data: Data = None, as_json: AsJson = False) -> None:
    """Put a fresh master key into the data folder; servers that run notice nothing. Older backups need the old one."""
    from doorward.manage import master_key  # keeps --help fast

    async def act(operator: "Operator", project: "Project", store: "Store") -> int:
        return await master_key.rotate(operator, project, store.key_file)

    show_one({"encrypted_anew": run_on_store(data, act)}, as_json=as_json)


@master_key_commands.command("rewrap")
def master_key_rewrap(*, data: Data = None, as_json: AsJson = False) -> None:
    """Encrypt everything under the first of the master keys that are given; the others may go then."""
    from doorward.manage import master_key  # keeps --help fast

    async def act(operator: "Operator", project: "Project", store: "Store") -> int:
        return await master_key.rewrap(operator, project, store.key_file)

    show_one({"encrypted_anew": run_on_store(data, act)}, as_json=as_json)
