"""Who acts, and on what."""

from collections.abc import Callable
from dataclasses import dataclass

from doorward.core.models import DEFAULT_SLUG, Project
from doorward.core.vault import Vault
from doorward.storage.database import Database
from doorward.storage.projects import find_project


class ActionRefused(Exception):  # noqa: N818  # an answer to the operator, not a fault
    """The action cannot be done as asked; the message says what to change, `about` which of the given values."""

    def __init__(self, message: str, *, about: str = "") -> None:
        super().__init__(message)
        self.about = about


class NotFound(ActionRefused):
    """What is named is not in the project, whether or not it is anywhere else."""


class Conflict(ActionRefused):
    """It is there already, or it is so already."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The one who acts, as the audit trail names them, and the store they act on. `clock` gives epoch milliseconds."""

    database: Database
    vault: Vault
    clock: Callable[[], int]
    actor: str


async def get_project(operator: Operator, slug: str = DEFAULT_SLUG) -> Project:
    """The project under a slug. Raises `ActionRefused`."""
    project = await operator.database.read(find_project, slug)
    if project is None:
        raise NotFound(f"There is no project {slug}.")
    return project
