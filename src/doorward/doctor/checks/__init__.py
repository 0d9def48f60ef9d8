"""The checks: each looks at what was seen of a server, and says what is wrong in words of people."""

from collections.abc import Callable

from doorward.doctor.findings import Finding

from .authorization import check_authorizations
from .browser import check_crossings
from .challenge import check_challenge, check_forbidden, check_invalid_token, check_unauthorized
from .connection import (
    check_agents,
    check_certificate,
    check_clock,
    check_reachable,
    check_redirect,
    check_speed,
    check_unknown,
)
from .login import check_login
from .registration import check_registrations
from .resource_metadata import check_resource_metadata
from .server_metadata import check_server_metadata
from .subject import Subject
from .tokens import check_tokens

CHECKS: tuple[Callable[[Subject], Finding | list[Finding]], ...] = (
    check_reachable,
    check_certificate,
    check_redirect,
    check_agents,
    check_clock,
    check_speed,
    check_unauthorized,
    check_forbidden,
    check_challenge,
    check_invalid_token,
    check_unknown,
    check_resource_metadata,
    check_server_metadata,
    check_crossings,
    check_registrations,
    check_authorizations,
    check_tokens,
    check_login,
)


def run_checks(subject: Subject) -> list[Finding]:
    """Every finding, in the order of a client's way."""
    found: list[Finding] = []
    for check in CHECKS:
        one = check(subject)
        found += one if isinstance(one, list) else [one]
    return found
