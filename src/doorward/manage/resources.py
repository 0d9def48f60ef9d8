"""Resources of a project: the MCP servers it opens the door to."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from doorward.core import audit
from doorward.core.models import TOKEN_FORMATS, AuditEvent, Project, Resource, ResourceSettings, Scope
from doorward.core.policy import find_namesake, resource_keys
from doorward.core.rotation import SIGNING_ALGORITHMS
from doorward.core.secrets import new_id
from doorward.oauth.budgets import parse_budgets
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import ResourceId
from doorward.oauth.jwt import SigningKey, generate_signing_key
from doorward.oauth.resources import match_key, parse_resource, same_resource
from doorward.oauth.scopes import OFFLINE_ACCESS, parse_scope, union
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.key_rotation import publish_first_key
from doorward.storage.projects import hold_project
from doorward.storage.resources import add_resource, list_resources, remove_resource, update_resource
from doorward.storage.revocations import announce
from doorward.storage.signing_keys import list_signing_keys

from .operator import ActionRefused, Conflict, NotFound, Operator

MAX_ALIASES = 5
_LIFE_BOUNDS = (60, 3600)
_SETTINGS = frozenset(field.name for field in fields(ResourceSettings))


async def add(
    operator: Operator,
    project: Project,
    uri: str,
    *,
    name: str = "",
    scopes: tuple[Scope, ...] = (),
    default_scopes: tuple[str, ...] = (),
    is_default: bool = False,
    settings: ResourceSettings | None = None,
) -> Resource:
    """Register an MCP server. The first one of a project is its default. Raises `ActionRefused`."""
    _check_uri(uri)
    now = operator.clock()
    existing = await operator.database.read(list_resources, project.project_id)
    resource = Resource(
        project_id=project.project_id,
        resource_id=ResourceId(new_id("rsc")),
        uri=uri,
        name=name.strip()[:128] or uri,
        scopes=scopes,
        default_scopes=default_scopes or tuple(scope.name for scope in scopes if scope.kind == "read"),
        is_default=is_default or not existing,
        created_at=now,
        settings=_spell_budgets(settings or ResourceSettings()),
    )
    _check(resource)
    await operator.database.write(_add, operator, resource, await _make_missing_key(operator, resource), now)
    return resource


async def list_all(operator: Operator, project: Project) -> list[Resource]:
    """The resources of a project, oldest first."""
    return await operator.database.read(list_resources, project.project_id)


async def get(operator: Operator, project: Project, reference: str) -> Resource:
    """A resource by id or by any spelling of its URI or of an alias. Raises `ActionRefused`."""
    for resource in await list_all(operator, project):
        names = (resource.uri, *resource.settings.aliases)
        if reference == resource.resource_id or any(same_resource(reference, name) for name in names):
            return resource
    raise NotFound(f"There is no resource {reference}.")


async def change(operator: Operator, resource: Resource, **changes: Any) -> Resource:
    """Change name, scopes, default scopes, the default mark or any setting of a resource. Raises `ActionRefused`.

    A setting is given by its own name, or all of them as `settings`. What is not given stays as it is by now, whoever
    changed it since `resource` was read.
    """
    preview = _apply(resource, changes)
    pair = await _make_missing_key(operator, preview)
    return await operator.database.write(_change, operator, resource, changes, pair)


async def remove(operator: Operator, resource: Resource) -> None:
    """Remove a resource; every grant for it ends."""
    await operator.database.write(_remove, resource, operator)


def describe(resource: Resource) -> dict[str, Any]:
    """A resource as operators see it."""
    return {
        "resource_id": resource.resource_id,
        "uri": resource.uri,
        "name": resource.name,
        "scopes": [asdict(scope) for scope in resource.scopes],
        "default_scopes": list(resource.default_scopes),
        "default": resource.is_default,
        **asdict(resource.settings),
        "aliases": list(resource.settings.aliases),
        "budgets": list(resource.settings.budgets),
        "stopped_at": resource.stopped_at,
    }


def find_overlaps(resource: Resource, others: Iterable[Resource]) -> list[str]:
    """Other resources at addresses within this one's, or around it, in words.

    They are apart for tokens, but clients that shorten an address until metadata is found may take one for the other.
    """
    mine = match_key(resource.uri)
    return [
        f"{inner} lies within {outer}: clients that look for metadata there may take one for the other."
        for other in others
        for outer, inner in [sorted((mine, match_key(other.uri)), key=len)]
        if inner.startswith(f"{outer}/")
    ]


def _apply(found: Resource, changes: dict[str, Any]) -> Resource:
    """The resource as it is found, with what is asked for. Raises `ActionRefused`."""
    chosen = {name: value for name, value in changes.items() if name in _SETTINGS}
    others = {name: value for name, value in changes.items() if name not in _SETTINGS}
    settings = _spell_budgets(replace(others.get("settings", found.settings), **chosen))
    changed = replace(found, **{**others, "settings": settings})
    _check(changed)
    return changed


def _changed_names(before: Resource, after: Resource) -> list[str]:
    """What is not as it was, with each setting by its own name."""
    old, new = ({**asdict(resource), **asdict(resource.settings)} for resource in (before, after))
    return sorted(name for name in new if name != "settings" and new[name] != old[name])


def _check(resource: Resource) -> None:
    _check_scopes(resource.scopes, resource.default_scopes)
    _check_settings(resource.settings)
    if len(resource.settings.aliases) > MAX_ALIASES:
        raise ActionRefused(f"A resource has at most {MAX_ALIASES} aliases.")
    seen = {match_key(resource.uri)}
    for alias in resource.settings.aliases:
        _check_uri(alias)
        if match_key(alias) in seen:
            raise Conflict(f"{alias} is a name of this resource already.")
        seen.add(match_key(alias))


def _check_uri(uri: str) -> None:
    try:
        parse_resource(uri)
    except OAuthError as error:
        raise ActionRefused(f"{uri}: {error.description}") from None


def _check_settings(settings: ResourceSettings) -> None:
    if settings.token_format not in TOKEN_FORMATS:
        raise ActionRefused(f"token_format is one of {', '.join(TOKEN_FORMATS)}.")
    if settings.token_alg not in SIGNING_ALGORITHMS:
        raise ActionRefused(f"token_alg is one of {', '.join(SIGNING_ALGORITHMS)}.")
    low, high = _LIFE_BOUNDS
    if settings.access_token_seconds and not low <= settings.access_token_seconds <= high:
        raise ActionRefused(f"access_token_seconds is from {low} to {high}, or 0 for what the project has.")


def _spell_budgets(settings: ResourceSettings) -> ResourceSettings:
    """Settings with their budgets in the one spelling that is stored, and each of them once."""
    try:
        return replace(settings, budgets=tuple(str(budget) for budget in parse_budgets(settings.budgets)))
    except ValueError as error:
        raise ActionRefused(str(error)) from None


def _check_scopes(scopes: tuple[Scope, ...], default_scopes: tuple[str, ...]) -> None:
    names = [scope.name for scope in scopes]
    try:
        for name in (*names, *default_scopes):
            if parse_scope(name) != (name,):
                raise ActionRefused(f"{name!r} is not one scope token.")
    except OAuthError as error:
        raise ActionRefused(error.description) from None
    if len(set(names)) != len(names):
        raise ActionRefused("A scope is named twice.")
    if OFFLINE_ACCESS in names:
        raise ActionRefused("offline_access exists by itself; a resource does not define it.")
    if unknown := set(default_scopes) - set(names):
        raise ActionRefused(f"Default scopes that the resource does not have: {', '.join(sorted(unknown))}.")


async def _make_missing_key(operator: Operator, resource: Resource) -> SigningKey | None:
    """A key pair for the algorithm of a resource, where its project has none; made here, since RSA takes long."""
    missing = await operator.database.read(_find_missing_algorithm, resource, operator.clock())
    return generate_signing_key(missing) if missing else None


async def _find_missing_algorithm(tx: Transaction, resource: Resource, now: int) -> str | None:
    """The algorithm that tokens of a resource are to be signed by, if its project has no key of it that stays."""
    alg = resource.settings.token_alg
    if resource.settings.token_format != "jwt":
        return None
    held = await list_signing_keys(tx, resource.project_id, now)
    return None if any(key.alg == alg and key.removed_at is None for key in held) else alg


async def _check_names(tx: Transaction, resource: Resource) -> None:
    """No URI leads to two resources, however two operators name theirs at one moment: the project is held."""
    await hold_project(tx, resource.project_id)
    other = find_namesake(resource, await list_resources(tx, resource.project_id))
    if other is not None:
        shared = ", ".join(sorted(resource_keys(resource) & resource_keys(other)))
        raise Conflict(f"{shared} leads to the resource {other.uri} of this project already.")


async def _publish_missing_key(
    tx: Transaction, operator: Operator, resource: Resource, pair: SigningKey | None, now: int
) -> None:
    missing = await _find_missing_algorithm(tx, resource, now)
    if missing is None:
        return
    pair = pair or generate_signing_key(missing)  # the last one left in this very moment
    key = await publish_first_key(tx, operator.vault, resource.project_id, pair, now)
    if key is not None:
        detail = {"alg": key.alg, "signs_from": key.signs_from}
        event = AuditEvent(audit.SIGNING_KEY_ADDED, operator.actor, key.kid, detail)
        await record(tx, resource.project_id, event, now)


async def _add(tx: Transaction, operator: Operator, resource: Resource, pair: SigningKey | None, now: int) -> None:
    await _check_names(tx, resource)
    if not await add_resource(tx, resource):
        raise Conflict(f"{resource.uri} is a resource of this project already.")
    await _publish_missing_key(tx, operator, resource, pair, now)
    detail = {"uri": resource.uri, "scopes": list(union(resource.scope_names))}
    event = AuditEvent(audit.RESOURCE_ADDED, operator.actor, resource.resource_id, detail)
    await record(tx, resource.project_id, event, now)


async def _change(
    tx: Transaction, operator: Operator, read: Resource, changes: dict[str, Any], pair: SigningKey | None
) -> Resource:
    """Store the change. Tokens that name an alias which is given up end with it: it may be another server's soon."""
    now = operator.clock()
    await hold_project(tx, read.project_id)
    known = await list_resources(tx, read.project_id)
    found = next((resource for resource in known if resource.resource_id == read.resource_id), None)
    if found is None:
        raise NotFound(f"{read.uri} was removed meanwhile.")  # and the default mark stays where it was
    changed = _apply(found, changes)
    await _check_names(tx, changed)
    await update_resource(tx, changed)
    await _publish_missing_key(tx, operator, changed, pair, now)
    for alias in found.settings.aliases:
        if alias not in changed.settings.aliases:
            await announce(tx, read.project_id, "resource", alias, "void", now, now)
    detail = {"changed": _changed_names(found, changed)}
    await record(tx, read.project_id, AuditEvent(audit.RESOURCE_CHANGED, operator.actor, read.resource_id, detail), now)
    return changed


async def _remove(tx: Transaction, resource: Resource, operator: Operator) -> None:
    now = operator.clock()  # inside: no token that was issued before is dated later than what ends it
    if await remove_resource(tx, resource.project_id, resource.resource_id, now):
        event = AuditEvent(audit.RESOURCE_REMOVED, operator.actor, resource.resource_id, {"uri": resource.uri})
        await record(tx, resource.project_id, event, now)
