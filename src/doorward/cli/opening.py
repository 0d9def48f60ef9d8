"""Opening the store for a command, and turning what stops it into the exit codes of the contract."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from doorward.core.audit import OPERATOR
from doorward.core.models import DEFAULT_SLUG
from doorward.core.vault import UnknownMasterKey
from doorward.manage.operator import ActionRefused, Operator
from doorward.manage.projects import create_project
from doorward.settings import EX_CONFIG, Settings, UnsafeConfiguration, load_settings
from doorward.storage.database import StorageUnavailable
from doorward.storage.migrate import UnknownSchema
from doorward.storage.opening import Store, UnsafeFolder, open_store
from doorward.storage.projects import find_project

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818  # carries the exit code
    """The command cannot go on; the message is for the terminal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def read_settings(options: Mapping[str, Any]) -> Settings:
    """The settings, or `Stopped` with the code of a refused configuration."""
    try:
        return load_settings(options)
    except UnsafeConfiguration as error:
        raise Stopped(str(error), EX_CONFIG) from None


async def open_for(settings: Settings) -> tuple[Store, Operator]:
    """The store and its operator, with the default project made when it is missing."""
    try:
        store = await open_store(settings.data, settings.master_key, now=_now())
    except (UnsafeFolder, UnknownSchema) as error:
        raise Stopped(str(error), EX_CONFIG) from None
    except OSError as error:
        raise Stopped(f"DOORWARD_DATA: {settings.data} cannot be used: {error.strerror}", EX_CONFIG) from None
    except StorageUnavailable as error:
        raise Stopped(f"The database cannot be opened: {error}", 1) from None
    operator = Operator(store.database, store.vault, _now, OPERATOR)
    if await store.database.read(find_project, DEFAULT_SLUG) is None:
        try:
            await create_project(operator, DEFAULT_SLUG, "Doorward")
        except ActionRefused:  # another process made it at the same moment
            return store, operator
    return store, operator


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


def _now() -> int:
    return int(time.time() * 1000)
