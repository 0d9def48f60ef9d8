"""What the token pipeline tells a grant."""

from dataclasses import dataclass

from doorward.core.models import Client, Grant, Resource
from doorward.core.secrets import RefreshTokens
from doorward.oauth.dpop import DpopProof
from doorward.oauth.errors import INVALID_DPOP_PROOF, TEMPORARILY_UNAVAILABLE, OAuthError, invalid_grant
from doorward.server.tenancy import ProjectView

CLIENT_IDLE_MS = 180 * 86_400_000
TOUCH_EVERY_MS = 300_000
"""How coarse "last used" is: a write that only tells the time is not worth one per refresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One token request after the checks that all grants share, whoever makes it. `now` is epoch milliseconds."""

    view: ProjectView
    refresh_tokens: RefreshTokens
    source: str
    agent: str
    now: int
    proof: DpopProof | None = None
    """The key that the request proved possession of."""

    @property
    def jkt(self) -> str | None:
        """Thumbprint of the key that the request proved possession of."""
        return self.proof.jkt if self.proof is not None else None

    def check_open(self, resource: Resource) -> None:
        """Refuse a call that the resource does not let in: without a proof it asks for, or while it is stopped.

        A stop is 503, so that clients keep what they hold: it is good again when the stop is taken back.
        """
        if resource.settings.dpop_required and self.proof is None:
            raise OAuthError(INVALID_DPOP_PROOF, "Tokens for this server are given to proven keys only: send a proof.")
        if resource.stopped_at is not None or self.view.project.stopped_at is not None:
            raise OAuthError(
                TEMPORARILY_UNAVAILABLE,
                "An administrator has stopped this server for now.",
                status=503,
                headers={"retry-after": "60"},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCall(Call):
    """A token request of a client that authenticated, as all are but those of workloads."""

    client: Client

    def check_time(self, grant: Grant) -> None:
        """Refuse a connection whose time is up: the person gave it for an hour or a day. Raises `invalid_grant`."""
        if grant.is_over(self.now):
            raise invalid_grant("the time that the person gave the connection for is up")

    @property
    def is_first_use_in_a_while(self) -> bool:
        """Whether the client's last use is old enough to be told anew."""
        return self.client.last_used_at is None or self.now - self.client.last_used_at > TOUCH_EVERY_MS

    @property
    def client_expires_at(self) -> int | None:
        """When the client is forgotten unless it comes back: never before a refresh token given now (clients.md 22)."""
        if self.client.is_verified:
            return None
        refresh_idle_ms = self.view.project.settings.refresh_idle_seconds * 1000
        return self.now + max(CLIENT_IDLE_MS, refresh_idle_ms + TOUCH_EVERY_MS)
