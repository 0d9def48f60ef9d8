"""Every operation of the admin API, the most specific address first."""

from . import clients, events, people, projects, registration, resources, secrets, trust
from .table import Operation

OPERATIONS: tuple[Operation, ...] = tuple(
    sorted(
        (
            *projects.OPERATIONS,
            *resources.OPERATIONS,
            *clients.OPERATIONS,
            *people.OPERATIONS,
            *secrets.OPERATIONS,
            *registration.OPERATIONS,
            *trust.OPERATIONS,
            *events.OPERATIONS,
        ),
        key=lambda operation: -operation.path.count("/"),
    )
)
