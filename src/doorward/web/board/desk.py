"""Whoever works on the dashboard, what they ask for, and what a page of it is told.

Spec: product.md, features 9, 10, 13; ADR 0025
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from doorward.asgi import Response
from doorward.core import audit
from doorward.core.models import Project, Role, User
from doorward.manage.operator import Operator
from doorward.server.tenancy import ProjectView
from doorward.web.account import operator_of
from doorward.web.visit import Visit

STAFF: frozenset[Role] = frozenset({"owner", "admin", "auditor"})
CHANGERS: frozenset[Role] = frozenset({"owner", "admin"})
OWNERS: frozenset[Role] = frozenset({"owner"})
PAGE_SIZE = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page says besides what is stored: what came of the form that was sent."""

    notice: str | None = None
    secret: str | None = None
    """Shown this once, and stored nowhere."""
    failed: str = ""
    """The act that was refused."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Why, by the field it is about; `form` is about the whole."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What had been typed in."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a longer list."""

    items: Sequence[Any]
    number: int
    total: int

    @property
    def has_more(self) -> bool:
        return self.number * PAGE_SIZE < self.total


@dataclass(frozen=True, slots=True)
class Desk:
    """One request of somebody who may see the dashboard. `given` is what they asked for, in the address or a form."""

    visit: Visit
    user: User
    given: Mapping[str, str]
    shown: Shown = Shown()

    @property
    def view(self) -> ProjectView:
        return self.visit.view

    @property
    def project(self) -> Project:
        return self.visit.view.project

    @property
    def now(self) -> int:
        return self.visit.request.now

    @property
    def operator(self) -> Operator:
        return operator_of(self.visit, audit.user_actor(self.user.user_id))

    @property
    def may_change(self) -> bool:
        return self.user.role in CHANGERS

    @property
    def page_number(self) -> int:
        """Which page of a list is asked for; anything that is none is the first."""
        text = self.given.get("page", "")
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1

    def slice(self, items: Sequence[T]) -> Slice:
        """The page that is asked for."""
        first = (self.page_number - 1) * PAGE_SIZE
        return Slice(items[first : first + PAGE_SIZE], self.page_number, len(items))

    def render(self, template: str, section: str, **values: Any) -> Response:
        """A page of the dashboard. `section` is the entry of its menu that it belongs to."""
        shown = self.shown
        return self.visit.render(
            f"board/{template}",
            section=section,
            may_change=self.may_change,
            is_owner=self.user.role in OWNERS,
            notice=shown.notice,
            secret=shown.secret,
            failed=shown.failed,
            errors=shown.errors,
            values=shown.values,
            status=400 if shown.errors else 200,
            **values,
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did, in words, and where the person finds themselves after it: on `path`, with `given`."""

    notice: str
    path: str = ""
    given: Mapping[str, str] | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before something that cannot be taken back, or that many will feel."""

    heading: str
    effects: tuple[str, ...]
    """What will happen, one sentence each."""
    button: str
    back: str
    """The page to go back to, below the project's prefix."""
    tone: str = "danger"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done on a page, by people of some roles; with `ask` it is asked about first."""

    run: Callable[[Desk], Awaitable[Done]]
    roles: frozenset[Role] = CHANGERS
    ask: Callable[[Desk], Awaitable[Question]] | None = None


@dataclass(frozen=True, slots=True)
class BoardPage:
    """A page with what can be done on it; `roles` may look."""

    show: Callable[[Desk], Awaitable[Response]]
    acts: Mapping[str, Act] = field(default_factory=dict)
    roles: frozenset[Role] = STAFF
