"""Tokens of the admin API: what a role lets do, and how scopes narrow it.

A token is for one project. Its role bounds what it does at all; scopes, where it has any, name the only areas it
reaches. Nothing in a token widens either.

Spec: RS-13 in spirit; T16, T44
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from doorward.oauth.ids import ProjectId

from .models import Role

TokenRole = Literal["owner", "admin", "auditor"]
Area = Literal[
    "projects",
    "project",
    "resources",
    "clients",
    "users",
    "connections",
    "keys",
    "exchange",
    "trust",
    "registration",
    "signing-keys",
    "timeline",
    "audit",
    "admin-tokens",
]
TOKEN_ROLES: tuple[TokenRole, ...] = ("owner", "admin", "auditor")
AREAS: tuple[Area, ...] = (
    "projects",
    "project",
    "resources",
    "clients",
    "users",
    "connections",
    "keys",
    "exchange",
    "trust",
    "registration",
    "signing-keys",
    "timeline",
    "audit",
    "admin-tokens",
)
READ_ALL = "read"
"""The scope for looking at everything that the role may look at."""
_RANK: dict[Role, int] = {"member": 0, "auditor": 1, "admin": 2, "owner": 3}


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A token of the admin API as it is known here; never its secret. Without scopes it reaches all its role does."""

    project_id: ProjectId
    token_id: str
    name: str
    role: TokenRole
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None

    def is_at_least(self, role: TokenRole) -> bool:
        """Whether its role lets it do what needs `role`."""
        return _RANK[self.role] >= _RANK[role]

    def reaches(self, area: Area, *, write: bool) -> bool:
        """Whether its scopes let it into an area; to write includes to read."""
        if not self.scopes or f"{area}:write" in self.scopes:
            return True
        return not write and (READ_ALL in self.scopes or f"{area}:read" in self.scopes)

    def may_handle(self, role: Role) -> bool:
        """Whether it may make, change or end a person with this role.

        Nobody above itself, so that a token cannot make its holder more than it is; and with scopes only people who
        administer nothing, because whoever sets an administrator's password is one.
        """
        return _RANK[role] <= (_RANK["member"] if self.scopes else _RANK[self.role])

    def may_pass_on(self, role: TokenRole, scopes: Iterable[str]) -> bool:
        """Whether a token with this role and these scopes does nothing that this one does not."""
        given = tuple(scopes)
        if not self.is_at_least(role) or (self.scopes and not given):
            return False
        return all(self._covers(scope) for scope in given)

    def _covers(self, scope: str) -> bool:
        if scope == READ_ALL:
            return not self.scopes or READ_ALL in self.scopes
        area, _, access = scope.partition(":")
        return any(self.reaches(known, write=access == "write") for known in AREAS if known == area)


def is_admin_scope(scope: str) -> bool:
    """Whether this is `read`, or an area with `:read` or `:write`."""
    area, _, access = scope.partition(":")
    return scope == READ_ALL or (area in AREAS and access in ("read", "write"))
