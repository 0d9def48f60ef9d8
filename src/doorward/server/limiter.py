"""Who a request comes from, and spending its limits. Well-known documents and refreshes are never limited by source."""

import ipaddress

from doorward.asgi import Request
from doorward.core.limits import Limit, source_key
from doorward.oauth.ids import ProjectId
from doorward.storage.throttles import is_spent, reset, spend

from .context import Context
from .too_many import TooManyRequests


def source_of(context: Context, request: Request) -> str:
    """The source a limit counts: the peer, or what the nearest trusted proxy says of it.

    `X-Forwarded-For` is read from the right, past trusted proxies only, so that a caller cannot choose its source.
    """
    address = request.peer
    trusted = context.settings.trusted_proxies
    if trusted:
        hops = [hop.strip() for line in request.headers("x-forwarded-for") for hop in line.split(",")]
        while hops and _is_trusted(address, trusted):
            address = _without_port(hops.pop())
    return source_key(address)


async def spend_limit(context: Context, project_id: ProjectId, limit: Limit, subject: str, now: int) -> None:
    """Count one event. Raises `TooManyRequests`."""
    wait = await context.database.write(spend, project_id, limit, subject, now)
    if wait:
        raise TooManyRequests(wait)


async def check_limit(context: Context, project_id: ProjectId, limit: Limit, subject: str, now: int) -> None:
    """Raise `TooManyRequests` when the limit is spent; counts nothing."""
    wait = await context.database.read(is_spent, project_id, limit, subject, now)
    if wait:
        raise TooManyRequests(wait)


async def reset_limit(context: Context, project_id: ProjectId, limit: Limit, subject: str) -> None:
    """Forget what was counted, after a success."""
    await context.database.write(reset, project_id, limit, subject)


def _is_trusted(address: str, networks: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in ipaddress.ip_network(network) for network in networks)


def _without_port(hop: str) -> str:
    """The address of a hop that some proxies write with its port."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
