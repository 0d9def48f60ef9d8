"""How a sign-in by a provider fails, told to the person calmly and to the operator in full."""

from doorward.oauth.strict_json import parse_strict_json

MAX_ANSWER_BYTES = 64 * 1024
_KNOWN_ERRORS = frozenset(
    {
        *("access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_client"),
        *("invalid_grant", "invalid_request", "invalid_scope", "login_required", "server_error", "slow_down"),
        *("temporarily_unavailable", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type"),
        *("bad_verification_code", "incorrect_client_credentials", "redirect_uri_mismatch", "unverified_user_email"),
    }
)


class ProviderFailed(Exception):  # noqa: N818  # the other side's fault, and told as such
    """Nobody is signed in. `reason` is for the timeline; nothing of it that a provider sent is repeated to people."""

    def __init__(self, reason: str, *, is_away: bool = False, was_stopped: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_away = is_away
        """Whether trying again in a moment may help."""
        self.was_stopped = was_stopped
        """Whether the person, or the provider by its own rules, said no."""


def name_error(error: object) -> str:
    """An error code that is written down: one of those that standards and providers define, or that it was none."""
    return error if isinstance(error, str) and error in _KNOWN_ERRORS else "an unknown error"


def parse_answer(body: bytes, what: str) -> object:
    """The JSON of an answer. Raises `ProviderFailed`."""
    try:
        return parse_strict_json(body)
    except ValueError:
        raise ProviderFailed(f"{what} answered with something that is not JSON") from None
