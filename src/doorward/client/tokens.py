"""Requests to the token endpoint and its neighbours, and what their answers may be.

Spec: OAuth 2.1 §3.2, §4.3; RFC 7009; RFC 9449 §5 (RES-01, RT-09, AT-05, DPOP-11, CLI-02)
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from doorward.oauth.errors import INVALID_REQUEST, UNSUPPORTED_TOKEN_TYPE, OAuthError, printable
from doorward.oauth.forms import FORM_TYPE
from doorward.oauth.jwt import SigningKey
from doorward.oauth.scopes import Scopes, parse_scope, union

from .client_auth import build_client_authentication
from .documents import ServerMetadata, parse_object
from .effects import Answer, Flow, Send
from .errors import ClientError, TokenRequestFailed
from .proofs import HEADER, NONCE_HEADER, ProofKey, wants_nonce
from .records import Registration, Tokens

MAX_TOKEN_LENGTH = 32 * 1024
MAX_LIFE_SECONDS = 366 * 86400
# What a header can carry without becoming two: a token with a line end in it would be an injection.
_ACCESS_TOKEN = re.compile(r"[\x21-\x7E]+")
_REFRESH_TOKEN = re.compile(r"[\x20-\x7E]+")
_SECRET_FIELDS = frozenset(
    {
        "assertion",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "refresh_token",
        "subject_token",
        "token",
    }
)


@dataclass(frozen=True, slots=True)
class Prover:
    """How this client proves itself: a key it signs assertions with, a key its tokens are bound to, and the time.

    `requires_binding` says that a token without the binding is worse than none. Spec: DPOP-11
    """

    clock: Callable[[], float]
    signing_key: SigningKey | None = field(default=None, repr=False)
    proof_key: ProofKey | None = field(default=None, repr=False)
    requires_binding: bool = False


def request_tokens(
    server: ServerMetadata,
    registration: Registration,
    form: Mapping[str, str],
    prover: Prover,
    *,
    requested: Scopes = (),
    previous: Tokens | None = None,
) -> Flow[Tokens]:
    """The tokens that `server` gives for `form`; `requested` are the scopes that were asked for, `previous` what they
    replace. Raises `TokenRequestFailed`.

    Spec: OAuth 2.1 §3.2.3, §4.3.2 (RT-09)
    """
    if server.token_endpoint is None:
        raise TokenRequestFailed(f"{server.issuer} names no token endpoint.")
    answer = yield from post_form(
        server, server.token_endpoint, registration, form, prover, what="the request for a token"
    )
    if answer.status != 200:
        raise _refusal(server, answer, form, registration)
    return _parse_tokens(server, answer, prover, requested=requested, previous=previous)


def refresh(
    server: ServerMetadata, registration: Registration, tokens: Tokens, resource: str, prover: Prover
) -> Flow[Tokens]:
    """New tokens for the refresh token that is held; no scope is named: the grant's are meant. Spec: RT-09, RES-01"""
    if tokens.refresh_token is None:
        raise TokenRequestFailed("There is no refresh token.", code="invalid_grant")
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token, "resource": resource}
    return (yield from request_tokens(server, registration, form, prover, requested=tokens.requested, previous=tokens))


def revoke(server: ServerMetadata, registration: Registration, tokens: Tokens, prover: Prover) -> Flow[bool]:
    """Give both tokens back; whether the server took them. Nothing is raised: they are forgotten all the same.

    An access token of a kind that the server cannot take back, as it says of JWTs, ends by itself soon.

    Spec: RFC 7009 §2.1, §2.2.1
    """
    if server.revocation_endpoint is None:
        return False
    taken = True
    for hint, token in (("refresh_token", tokens.refresh_token), ("access_token", tokens.access_token)):
        if token is None:
            continue
        try:
            answer = yield from _revoke_one(server, server.revocation_endpoint, registration, token, hint, prover)
        except ClientError:
            return False
        ends_by_itself = hint == "access_token" and describe_refusal(answer, {})[0] == UNSUPPORTED_TOKEN_TYPE
        taken = taken and (answer.status == 200 or ends_by_itself)
    return taken


def _revoke_one(
    server: ServerMetadata, endpoint: str, registration: Registration, token: str, hint: str, prover: Prover
) -> Flow[Answer]:
    what = "the revocation of a token"
    form = {"token": token, "token_type_hint": hint}
    answer = yield from post_form(server, endpoint, registration, form, prover, what=what)
    if registration.client_secret is None and describe_refusal(answer, {})[0] == INVALID_REQUEST:
        # Servers made with the MCP SDK insist on the field. Empty, it says that there is none: RFC 6749 §2.3.1.
        form["client_secret"] = ""
        answer = yield from post_form(server, endpoint, registration, form, prover, what=what)
    return answer


def post_form(
    server: ServerMetadata,
    endpoint: str,
    registration: Registration,
    form: Mapping[str, str],
    prover: Prover,
    *,
    what: str,
) -> Flow[Answer]:
    """The answer of an endpoint of `server` to `form`, sent as this client: once more when only a nonce was missing.

    Spec: RFC 6749 §2.3; RFC 9449 §8 (DPOP-11)
    """
    answer = yield from _post_once(server, endpoint, registration, form, prover, what=what)
    if prover.proof_key is not None:
        is_new = prover.proof_key.learn(endpoint, answer.header_values(NONCE_HEADER), at_resource=False)
        if is_new and wants_nonce(answer):
            answer = yield from _post_once(server, endpoint, registration, form, prover, what=what)
            prover.proof_key.learn(endpoint, answer.header_values(NONCE_HEADER), at_resource=False)
    return answer


def describe_refusal(answer: Answer, secrets: Mapping[str, str]) -> tuple[str, str]:
    """(error code, words to show) of a refusal. What was sent in confidence is cut out, should it come back."""
    members = parse_object(answer.body) or {}
    code, description = members.get("error"), members.get("error_description")
    code = printable(code)[:100] if isinstance(code, str) else ""
    said = printable(description)[:300] if isinstance(description, str) else ""
    for name, value in secrets.items():
        if name in _SECRET_FIELDS and value:
            code, said = code.replace(value, "…"), said.replace(value, "…")
    return code, f"{code}: {said}" if code and said else code or said or f"HTTP {answer.status}"


def _post_once(
    server: ServerMetadata,
    endpoint: str,
    registration: Registration,
    form: Mapping[str, str],
    prover: Prover,
    *,
    what: str,
) -> Flow[Answer]:
    now = prover.clock()
    headers, fields = build_client_authentication(
        registration,
        issuer=server.issuer,
        supported=server.token_endpoint_auth_methods_supported,
        signing_key=prover.signing_key,
        now=now,
    )
    headers = {"content-type": FORM_TYPE, "accept": "application/json", **headers}
    if prover.proof_key is not None:
        headers[HEADER] = prover.proof_key.build("POST", endpoint, now=now)
    answer = yield Send("POST", endpoint, what, headers, urlencode({**form, **fields}).encode())
    assert isinstance(answer, Answer)  # noqa: S101  # what a Send results in
    return answer


def _refusal(
    server: ServerMetadata, answer: Answer, form: Mapping[str, str], registration: Registration
) -> TokenRequestFailed:
    secrets = {**form, "client_secret": registration.client_secret or ""}
    code, said = describe_refusal(answer, secrets)
    return TokenRequestFailed(f"{server.issuer} gave no token ({said}).", code=code, status=answer.status)


def _parse_tokens(
    server: ServerMetadata, answer: Answer, prover: Prover, *, requested: Scopes, previous: Tokens | None
) -> Tokens:
    """The answer as a value, or `TokenRequestFailed`: never half of it."""

    def unusable(why: str) -> TokenRequestFailed:
        return TokenRequestFailed(f"{server.issuer} gave a token that cannot be used: {why}.", status=answer.status)

    members = parse_object(answer.body)
    if members is None:
        raise unusable("the answer is not a JSON object")
    access_token = members.get("access_token")
    if not isinstance(access_token, str) or not _is_token(access_token, _ACCESS_TOKEN):
        raise unusable("its access_token is missing or malformed")
    token_type = _parse_type(members.get("token_type"))
    if token_type is None:
        raise unusable("its token_type is neither Bearer nor DPoP")
    if token_type == "DPoP" and prover.proof_key is None:
        raise unusable("it is bound to a key that was not shown")
    if token_type == "Bearer" and prover.requires_binding:
        raise unusable("it is not bound to the key that was shown")
    refresh_token = members.get("refresh_token") or None
    if refresh_token is not None and not _is_token(refresh_token, _REFRESH_TOKEN):
        raise unusable("its refresh_token is malformed")
    life = _parse_life(members.get("expires_in"))
    return Tokens(
        access_token=access_token,
        token_type=token_type,
        issued_at=answer.received_at,
        expires_at=None if life is None else answer.received_at + life,
        refresh_token=refresh_token or (previous.refresh_token if previous else None),
        scope=_parse_granted(members.get("scope")) or (previous.scope if previous else requested),
        requested=union(requested, previous.requested if previous else ()),
    )


def _is_token(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TOKEN_LENGTH and pattern.fullmatch(value) is not None


def _parse_type(value: object) -> Literal["Bearer", "DPoP"] | None:
    return {"bearer": "Bearer", "dpop": "DPoP"}.get(value.lower()) if isinstance(value, str) else None  # type: ignore[return-value]  # the values of the table are these two


def _parse_life(value: object) -> float | None:
    """Seconds that the token lives; None where the answer does not say. Some servers write the number as a string."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (math.inf, -math.inf):
        return None
    return float(min(max(value, 0), MAX_LIFE_SECONDS))  # in this order: an integer may be beyond every float


def _parse_granted(value: object) -> Scopes:
    try:
        return parse_scope(value) if isinstance(value, str) else ()
    except OAuthError:
        return ()
