"""Token exchange: how it is asked for, and the claims that say who acts for whom.

Spec: RFC 8693 (TX-01, TX-02, TX-07, TX-09)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import invalid_request
from .forms import Form

_TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN_TYPE = f"{_TYPES}access_token"
JWT_TYPE = f"{_TYPES}jwt"
ACCEPTED_TYPES = (ACCESS_TOKEN_TYPE, JWT_TYPE)
"""Both name our own access tokens, the second those that are JWTs. No other token speaks for anybody here."""
_MAY_ACT_MEMBERS = frozenset({"sub", "iss", "client_id"})


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """What a client wants to make of a token it was given."""

    subject_token: str
    actor_token: str | None
    targets: tuple[str, ...]
    """Each `resource` and each `audience`: here an audience is named by its URI, too."""
    scope: str | None
    requested_type: str


def parse_exchange(form: Form) -> ExchangeRequest:
    """Read the parameters. Raises `invalid_request`, naming the one that is missing or of a type we do not have."""
    subject_token = _require_token(form, "subject_token")
    actor_token = None
    if "actor_token" in form or "actor_token_type" in form:
        actor_token = _require_token(form, "actor_token")
    requested = form.get("requested_token_type", ACCESS_TOKEN_TYPE)
    _check_type("requested_token_type", requested)
    return ExchangeRequest(
        subject_token=subject_token,
        actor_token=actor_token,
        targets=(*form.resources, *form.audiences),
        scope=form.get("scope"),
        requested_type=requested,
    )


def build_act(actor: str, claims: Mapping[str, Any]) -> dict[str, Any]:
    """The `act` claim of a token made from one with these claims: who acts now, and inside it who acted before.

    Only the outermost actor may decide anything. Spec: RFC 8693 §4.1 (TX-08)
    """
    return {"sub": actor, "act": claims["act"]} if "act" in claims else {"sub": actor}


def permits_actor(claims: Mapping[str, Any], *, issuer: str, actor: str) -> bool:
    """Whether a token lets this party act for its subject: anybody without a `may_act`, else only whom it names.

    A member that is not understood names somebody we cannot tell from others. Spec: RFC 8693 §4.4
    """
    if "may_act" not in claims:
        return True
    named = claims["may_act"]
    if not isinstance(named, dict) or not named.keys() <= _MAY_ACT_MEMBERS:
        return False
    return named.get("sub") == actor and named.get("iss", issuer) == issuer and named.get("client_id", actor) == actor


def _require_token(form: Form, name: str) -> str:
    token, token_type = form.require(name), form.require(f"{name}_type")
    _check_type(f"{name}_type", token_type)
    if token_type == JWT_TYPE and token.count(".") != 2:
        raise invalid_request(f"The {name} is not a JWT.")
    return token


def _check_type(name: str, token_type: str) -> None:
    if token_type not in ACCEPTED_TYPES:
        raise invalid_request(f"The {name} must be one of {', '.join(ACCEPTED_TYPES)}.")
