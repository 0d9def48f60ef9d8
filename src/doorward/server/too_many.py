"""The refusal of a limit."""

from doorward.oauth.errors import TEMPORARILY_UNAVAILABLE, OAuthError


class TooManyRequests(OAuthError):  # noqa: N818  # the status' own words
    """A limit is spent; `retry_after` is in seconds."""

    def __init__(self, wait_ms: int) -> None:
        self.retry_after = max(1, -(-wait_ms // 1000))
        super().__init__(
            TEMPORARILY_UNAVAILABLE,
            "Too many requests. Wait as Retry-After says.",
            status=429,
            headers={"retry-after": str(self.retry_after)},
        )
