"""The table that the admin API is: what is routed, and what is written about it."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel

from doorward.core.admin_access import AdminToken, Area, TokenRole
from doorward.core.models import Project, Role
from doorward.manage.operator import Operator
from doorward.server.context import Context

from .problems import FORBIDDEN, Problem
from .shapes import Body, Query

PREFIX = "/api/admin/v1"
Method = Literal["GET", "POST", "PATCH", "DELETE"]
_FREE = frozenset({"client_id", "user_id"})
"""Ids that others choose, and that may hold a slash: of clients known by a URL, and of a backend's own people."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what: the project of the address, the token, and what the address names."""

    context: Context
    operator: Operator
    project: Project
    token: AdminToken
    named: Mapping[str, str]


def check_may_handle(call: Call, role: Role) -> None:
    """A token handles nobody above itself, and one with scopes nobody who administers anything. Raises `Problem`."""
    if not call.token.may_handle(role):
        raise Problem(FORBIDDEN, f"This token may not handle people with the role {role}.")


@dataclass(frozen=True)
class Operation:
    """One thing that can be done.

    `path` is a template below the prefix. `role` is the least that may do it: without one, whoever may read for a
    GET, and an admin for the rest. `once`: a creation, which an idempotency key makes happen once. `of_server`: of
    the whole server, so for owners of the default project alone.
    """

    method: Method
    path: str
    name: str
    summary: str
    area: Area
    handler: Callable[..., Awaitable[Any]]
    answer: type[BaseModel] | None = None
    body: type[Body] | None = None
    query: type[Query] | None = None
    least: TokenRole | None = None
    once: bool = False
    of_server: bool = field(default=False)

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def role(self) -> TokenRole:
        return self.least or ("admin" if self.writes else "auditor")

    @property
    def status(self) -> int:
        """What a success is answered with."""
        return 201 if self.once else 200 if self.answer else 204

    @property
    def parameters(self) -> list[str]:
        """What the path names, in order."""
        return re.findall(r"{(\w+)}", self.path)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a path below the prefix looks like."""
        parts = re.split(r"{(\w+)}", self.path)
        shapes = [
            re.escape(part) if index % 2 == 0 else rf"(?P<{part}>{'.+' if part in _FREE else '[^/]+'})"
            for index, part in enumerate(parts)
        ]
        return re.compile("".join(shapes), re.DOTALL)


def find_operation(
    operations: Iterable[Operation], method: str, path: str
) -> tuple[Operation, dict[str, str]] | tuple[None, list[str]]:
    """(the operation, what the path names), or (None, the methods that the path has, none for an unknown one)."""
    methods: list[str] = []
    for operation in operations:
        match = operation.pattern.fullmatch(path)
        if match is None:
            continue
        if operation.method == method:
            return operation, match.groupdict()
        methods.append(operation.method)
    return None, list(dict.fromkeys(methods))
