"""What a server process does before it serves: settings, the open store, the first administrator, its own resources."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from doorward.app import build_context
from doorward.core.audit import OPERATOR
from doorward.core.models import DEFAULT_SLUG, Project, Resource, Scope
from doorward.manage import resources, users
from doorward.manage.operator import ActionRefused, Operator, get_project
from doorward.manage.projects import create_project
from doorward.server.context import Context
from doorward.settings import EX_CONFIG, Settings, UnsafeConfiguration, load_settings
from doorward.storage.database import StorageUnavailable
from doorward.storage.migrate import UnknownSchema
from doorward.storage.opening import Store, UnsafeFolder, open_store
from doorward.storage.projects import find_project


class Stopped(Exception):  # noqa: N818  # carries the exit code
    """The process cannot go on; the message is for the terminal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Opened:
    """A server that is about to serve, and what it can still be changed with."""

    context: Context
    operator: Operator
    project: Project
    setup_link: str | None
    """Where the first administrator is made, once; None when there is one."""


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


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """The parts of a server over its data folder; closed again when what is done with them here fails.

    Afterwards whoever serves them closes the database. Raises `Stopped`.
    """
    store, operator = await open_for(settings)
    try:
        context = build_context(settings, store)
        project = await get_project(operator)
        yield Opened(context, operator, project, await _prepare_first_admin(settings, operator, project))
    except BaseException:
        await store.database.close()
        raise


async def register(
    operator: Operator, project: Project, uri: str, *, name: str, scopes: tuple[Scope, ...], keep: bool = True
) -> Resource:
    """The resource at `uri`, made when it is missing.

    One that is there has all of `scopes` afterwards. With `keep`, the words that operators gave them stay, and so do
    further scopes and tools; without, it has these scopes as they are given and no others. Raises `ActionRefused`.
    """
    try:
        resource = await resources.get(operator, project, uri)
    except ActionRefused:
        return await resources.add(operator, project, uri, name=name, scopes=scopes)
    wanted = _merge(resource.scopes, scopes) if keep else scopes
    return resource if wanted == resource.scopes else await resources.change(operator, resource, scopes=wanted)


def _merge(kept: tuple[Scope, ...], given: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """The scopes that are kept, with the tools they lack, and after them those that are new."""
    known, told = {scope.name for scope in kept}, {tool.name for scope in kept for tool in scope.tools}
    news = {scope.name: tuple(tool for tool in scope.tools if tool.name not in told) for scope in given}
    grown = (replace(scope, tools=(*scope.tools, *news.get(scope.name, ()))) for scope in kept)
    return (*grown, *(scope for scope in given if scope.name not in known))


async def _prepare_first_admin(settings: Settings, operator: Operator, project: Project) -> str | None:
    """Make the administrator that the settings name, or a one-time link to make one; None when there is one."""
    token = await users.create_setup_link(operator, project)
    if token is None:
        return None
    if settings.admin_email:
        try:
            await users.add_first_admin(operator, project, token, settings.admin_email, settings.admin_password)
        except ActionRefused as refused:
            raise Stopped(f"DOORWARD_ADMIN_EMAIL: {refused}", EX_CONFIG) from None
        return None
    return f"{settings.public_url}/setup?token={token}"


def _now() -> int:
    return int(time.time() * 1000)
