"""Opening the store for a command, and turning what stops it into the exit codes of the contract."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from doorward.core.vault import UnknownMasterKey
from doorward.manage.operator import ActionRefused, Operator
from doorward.settings import EX_CONFIG
from doorward.starting import Stopped, open_for, read_settings
from doorward.storage.database import StorageUnavailable
from doorward.storage.opening import Store

T = TypeVar("T")


def run_command(options: Mapping[str, Any], action: Callable[[Operator, Store], Awaitable[T]]) -> T:
    """Run one operator action and close the store. Refusals end the process with the contract's exit codes."""

    async def run() -> T:
        settings = read_settings(options)
        if "data" not in settings.model_fields_set and not settings.database_path.exists():
            # In the wrong folder an emergency stop would stop nothing, in a folder made for it.
            message = f"There is no Doorward in {settings.data.absolute()}. Name its folder with --data."
            raise Stopped(f"DOORWARD_DATA: {message}", EX_CONFIG)
        store, operator = await open_for(settings)
        try:
            return await action(operator, store)
        finally:
            await store.database.close()

    try:
        return asyncio.run(run())
    except Stopped as stopped:
        print(f"doorward: {stopped}", file=sys.stderr)
        sys.exit(stopped.code)
    except (ActionRefused, StorageUnavailable) as refused:
        print(f"doorward: {refused}", file=sys.stderr)
        sys.exit(1)
    except UnknownMasterKey as error:
        print(f"doorward: DOORWARD_MASTER_KEY: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)


def name_options(problem: str, options: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """What a refused start says, with the option that a value came from in place of its setting.

    `names` has the option of each setting. A public address that was listened on needs the one of the issuer.
    """
    given = {name for name, value in options.items() if value is not None}
    if "host" in given:
        given.add("issuer")
    for name, option in names.items():
        setting = f"DOORWARD_{name.upper()}"
        if name == "port" and problem.startswith(f"{setting}: cannot listen"):
            problem += f"; choose another with {option}"
        if name in given:
            problem = problem.replace(setting, option)
    return problem
