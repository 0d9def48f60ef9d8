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
