"""Rate limits: typed names, sizes and the reason of each. The arithmetic is one SQL statement in storage.

Each is a token bucket told as a single time (GCRA): `burst` at once, then one per `period_ms`.
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` events at once, refilled at one per `period_ms`."""

    name: str
    burst: int
    period_ms: int

    @property
    def window_ms(self) -> int:
        """How far ahead of now the bucket may run."""
        return self.burst * self.period_ms


LOGIN_ACCOUNT = Limit("login-account", burst=10, period_ms=90_000)
"""10 in 15 min on one account, whoever asks (T39)."""
LOGIN_DEVICE = Limit("login-device", burst=10, period_ms=90_000)
"""The same for a browser that signed in before, on a bucket of its own: the owner is not locked out by others."""
LOGIN_SOURCE = Limit("login-source", burst=30, period_ms=20_000)
"""30 in 10 min from one address."""
SECOND_STEP_ACCOUNT = Limit("second-step-account", burst=5, period_ms=180_000)
"""5 wrong codes of the second step, then one every 3 minutes, whoever gives them: they knew the password (T39)."""
SECOND_STEP_DEVICE = Limit("second-step-device", burst=5, period_ms=180_000)
"""The same for a browser that signed in before, on a bucket of its own, as for passwords."""
REGISTER_SOURCE = Limit("register-source", burst=120, period_ms=30_000)
"""120 registrations an hour from one address: some clients register at every login, and hosted ones share a few
addresses (complaint 18, T15)."""
REGISTER_PROJECT = Limit("register-project", burst=600, period_ms=6_000)
"""600 an hour for a whole project."""
REGISTER_HOST = Limit("register-host", burst=120, period_ms=30_000)
"""The same for the clients that return to one host."""
REGISTER_KEY = Limit("register-key", burst=600, period_ms=1_000)
"""With the project's secret: a backend that registers for many people, still bounded."""
DOCUMENT_SOURCE = Limit("document-source", burst=20, period_ms=3_000)
"""20 unknown metadata documents a minute for one address: each costs a fetch."""
CLIENT_AUTH = Limit("client-auth", burst=20, period_ms=3_000)
"""20 failed client authentications a minute for one client from one address (CAU-06)."""
CLIENT_AUTH_SOURCE = Limit("client-auth-source", burst=60, period_ms=1_000)
"""60 failed client authentications a minute from one address, whichever clients it names."""
MINT_KEY = Limit("mint-key", burst=600, period_ms=100)
"""600 at once and 10 a second with one project key: a backend's whole morning, and an end to a loop."""
TOOLS_KEY = Limit("tools-key", burst=300, period_ms=200)
"""300 at once and 5 a second with one project key: many servers that tell their tools, and an end to a loop."""
ASSERTION_SOURCE = Limit("assertion-source", burst=20, period_ms=3_000)
"""20 assertions a minute from one address that no trusted issuer signed."""
ASSERTION_RECORDED = Limit("assertion-recorded", burst=20, period_ms=3_000)
"""Refusals of signed assertions that are written down, of one issuer and address: a loop does not fill the trail."""
REVOKE_TOKENS = Limit("revoke-tokens", burst=20, period_ms=180_000)
"""Access tokens of one connection that are ended one by one: 20 an hour. Each is remembered by every server that
follows the feed; the connection as a whole can be ended any time (I13)."""
CLIENT_UNKNOWN_SOURCE = Limit("client-unknown-source", burst=120, period_ms=500)
"""Requests in the name of clients that are not known here, from one address: 120 a minute. They guess no secret, so
they have a bucket of their own, and lock nobody out who has one."""
QUEUE_USER = Limit("queue-user", burst=10, period_ms=360_000)
"""Apps that one person can put into the approval queue: 10 an hour."""
AUTHORIZE_SESSION = Limit("authorize-session", burst=60, period_ms=1_000)
"""Pending consents that one signed-in browser can open."""
PUSH_SOURCE = Limit("push-source", burst=120, period_ms=500)
"""120 requests a minute that public clients push from one address; hosted ones share a few."""
PUSH_CLIENT = Limit("push-client", burst=600, period_ms=100)
"""600 a minute of one client that proved itself."""
PUSH_PROJECT = Limit("push-project", burst=3000, period_ms=20)
"""3,000 a minute of all public clients of a project: what is pushed lies on the disk until it expires (I13)."""
DEVICE_SOURCE = Limit("device-source", burst=20, period_ms=30_000)
"""20 device requests at once from one address, then 120 an hour: what waits for ten minutes is bounded (T42)."""
DEVICE_CLIENT = Limit("device-client", burst=120, period_ms=2_000)
"""The same for one client; many people share the id of a metadata document."""
DEVICE_PROJECT = Limit("device-project", burst=600, period_ms=1_000)
"""And for a whole project: at most 1,200 codes wait, so that one of 2**34 is hardly ever guessed (T39)."""
USER_CODE_PERSON = Limit("user-code-person", burst=5, period_ms=180_000)
"""5 wrong codes, then one every 3 minutes; of the person and so of each of their sessions (DEV-04, T39)."""
USER_CODE_SOURCE = Limit("user-code-source", burst=30, period_ms=20_000)
"""30 wrong codes in 10 min from one address, whoever is signed in there."""
ADMIN_SOURCE = Limit("admin-source", burst=30, period_ms=20_000)
"""30 requests in 10 min from one address that carry no token of the admin API; one that carries one is not held up."""
UPSTREAM_SOURCE = Limit("upstream-source", burst=60, period_ms=10_000)
"""60 ways to an identity provider in 10 min from one address: offices share one, and each lies on the disk (I13)."""
UPSTREAM_PROJECT = Limit("upstream-project", burst=3000, period_ms=200)
"""3,000 in 10 min of a whole project, which is as long as they lie there."""
SETUP_SOURCE = Limit("setup-source", burst=10, period_ms=30_000)
"""Tries at the one-time set-up link."""


@lru_cache(maxsize=4096)
def source_key(address: str) -> str:
    """The address a limit counts: a whole IPv4 address, or the /64 of an IPv6 one, since hosts own whole /64s."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
