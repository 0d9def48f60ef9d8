"""Counters in Redis or Valkey: for the processes of several machines. Needs the `redis` extra."""

from collections.abc import Sequence

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .counters import Charge, CountersUnavailable, Short

MAX_CONNECTIONS = 16
TIMEOUT_SECONDS = 1.0
_KEPT_SECONDS = 60
_PREFIX = "{doorward:budgets}:"
"""In braces, so that a cluster keeps all counters of a call in one place, where one script can reach them."""
# The server runs one script at a time: nobody sees half of it.
_TAKE = """
local used, short = {}, false
for i, counter in ipairs(KEYS) do
    used[i] = tonumber(redis.call('GET', counter) or '0')
    if used[i] + tonumber(ARGV[3 * i - 2]) > tonumber(ARGV[3 * i - 1]) then short = true end
end
if short then return used end
for i, counter in ipairs(KEYS) do
    redis.call('INCRBY', counter, ARGV[3 * i - 2])
    redis.call('EXPIRE', counter, ARGV[3 * i])
end
return {}
"""


class RedisCounters:
    """Counts in a Redis that processes share, by one script for each call.

    Give it a URL (`redis://`, `rediss://` or `unix://`), or a client of your own, which stays yours to close. A call
    that is sent again because its answer was lost may be counted twice: a limit is never passed. Counters are dropped
    a minute after their window, however far the clocks of the machines are apart.
    """

    def __init__(self, redis: str | Redis) -> None:
        client = _connect(redis) if isinstance(redis, str) else redis
        self._own = client if isinstance(redis, str) else None
        self._take = client.register_script(_TAKE)

    async def take(self, charges: Sequence[Charge], *, now: float) -> Short | None:
        """Take all charges or none. Raises `CountersUnavailable`."""
        keys = [_PREFIX + charge.counter_at(now) for charge in charges]
        arguments: list[int] = []
        for charge in charges:
            arguments += charge.cost, charge.limit, int(charge.ends_at(now) - now) + _KEPT_SECONDS
        try:
            used = await self._take(keys, arguments)
        except (RedisError, OSError) as error:
            raise CountersUnavailable(f"Redis: {type(error).__name__}") from error
        return Short(tuple(used)) if used else None

    async def aclose(self) -> None:
        """Close the connections, if they are our own."""
        if self._own is not None:
            await self._own.aclose()


def _connect(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # Once more at once: a connection that was idle may have been closed by the other end.
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)
