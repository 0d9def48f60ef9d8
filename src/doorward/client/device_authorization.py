"""Signing in on another device: for machines where no browser can be opened.

Spec: RFC 8628 (DEV rows of the checklist)
"""

from collections.abc import Mapping
from typing import Any

from doorward.oauth.errors import AUTHORIZATION_PENDING, EXPIRED_TOKEN, SLOW_DOWN
from doorward.oauth.scopes import Scopes, format_scope

from .addresses import check_browsable
from .documents import ServerMetadata, parse_object
from .effects import Flow, ShowUserCode, Wait
from .errors import AccessDenied, AnswerRefused, AuthorizationFailed, DiscoveryFailed, LoginRequired, TokenRequestFailed
from .records import Registration, Tokens
from .registration import DEVICE_GRANT
from .tokens import Prover, describe_refusal, post_form, request_tokens

_USUAL_INTERVAL = 5
_MAX_INTERVAL = 60
_SLOWER_BY = 5
_MAX_LIFE = 1800


def check_offers_codes(server: ServerMetadata) -> str:
    """Where codes are asked for. Raises `DiscoveryFailed` where the server knows none."""
    if server.device_authorization_endpoint is None:
        raise DiscoveryFailed(
            f"{server.issuer} does not let devices sign in by a code. Sign in with a browser instead; it may be on"
            " another machine: doorward client login --paste."
        )
    return server.device_authorization_endpoint


def authorize_device(
    server: ServerMetadata, registration: Registration, prover: Prover, *, resource: str, scope: Scopes
) -> Flow[Tokens]:
    """The tokens that a person allowed on another device, asked for as often as the server wants to be.

    Raises `AccessDenied`, `LoginRequired` when the code ran out, and `AuthorizationFailed`. Spec: RFC 8628 §3.1 … §3.5
    """
    endpoint = check_offers_codes(server)
    form = {"resource": resource, **({"scope": format_scope(scope)} if scope else {})}
    answer = yield from post_form(server, endpoint, registration, form, prover, what="a code for this device")
    members = parse_object(answer.body) if answer.status == 200 else None
    if members is None:
        code, said = describe_refusal(answer, {"client_secret": registration.client_secret or ""})
        raise AuthorizationFailed(f"{server.issuer} gave no code for this device ({said}).", code=code)
    shown, device_code = _parse_code(server, members)
    yield shown
    poll = {"grant_type": DEVICE_GRANT, "device_code": device_code, "resource": resource}
    return (
        yield from _poll(
            server,
            registration,
            prover,
            poll,
            requested=scope,
            interval=_seconds(members, "interval", _USUAL_INTERVAL, _MAX_INTERVAL),
            until=answer.received_at + shown.expires_in,
        )
    )


def _poll(
    server: ServerMetadata,
    registration: Registration,
    prover: Prover,
    form: Mapping[str, str],
    *,
    requested: Scopes,
    interval: int,
    until: float,
) -> Flow[Tokens]:
    """Ask until there is an answer or the code ran out, more slowly when told so or when nobody answers."""
    while prover.clock() < until:
        yield Wait(interval)
        try:
            return (yield from request_tokens(server, registration, form, prover, requested=requested))
        except AnswerRefused:
            interval = min(interval * 2, _MAX_INTERVAL)
        except TokenRequestFailed as error:
            if error.code == SLOW_DOWN:
                interval += _SLOWER_BY
            elif error.code == "access_denied":
                raise AccessDenied(f"Access was denied at {server.issuer}.", code=error.code) from None
            elif error.code == EXPIRED_TOKEN:
                break
            elif error.code != AUTHORIZATION_PENDING:
                raise
    raise LoginRequired("The code for this device ran out before anybody entered it. Start again.")


def _parse_code(server: ServerMetadata, members: Mapping[str, Any]) -> tuple[ShowUserCode, str]:
    """What to show, and the code to ask with. Addresses that must not be opened are not shown. Spec: T11"""
    device_code, user_code = members.get("device_code"), members.get("user_code")
    uri, complete = members.get("verification_uri"), members.get("verification_uri_complete")
    if not isinstance(device_code, str) or not isinstance(user_code, str) or not isinstance(uri, str):
        raise AuthorizationFailed(f"{server.issuer} gave a code for this device that cannot be used.")
    loopback_http = server.issuer.startswith("http:")
    check_browsable(uri, loopback_http=loopback_http)
    if isinstance(complete, str):
        check_browsable(complete, loopback_http=loopback_http)
    code = "".join(character for character in user_code if character.isprintable())[:64]
    life = _seconds(members, "expires_in", _MAX_LIFE, _MAX_LIFE)
    return ShowUserCode(uri, complete if isinstance(complete, str) else None, code, life), device_code


def _seconds(members: Mapping[str, Any], name: str, usual: int, most: int) -> int:
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return usual
    return int(min(value, most)) or 1
