"""What both kinds of assertions go through as grants: standing trusts, one use, and a refusal that is written down."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from doorward.core import audit
from doorward.core.limits import ASSERTION_RECORDED
from doorward.core.models import AuditEvent, Refused
from doorward.core.secrets import hash_secret
from doorward.core.trust import TrustedIssuer
from doorward.oauth.errors import INVALID_GRANT, OAuthError
from doorward.oauth.grant_assertions import GrantAssertion
from doorward.oauth.jwt import InvalidToken
from doorward.server.signed_assertions import SignedAssertion
from doorward.storage.audit import record
from doorward.storage.database import Transaction
from doorward.storage.spent_ids import claim_id
from doorward.storage.throttles import spend
from doorward.storage.trusted_issuers import find_trusted_issuer

from .call import Call

REMEMBERED_SECONDS = 60
"""How much longer than the assertion its id is remembered, for clocks that are set back."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AssertionRequest:
    """The grant's parameters, the assertion as its issuer signed it."""

    signed: SignedAssertion
    scope: str | None
    resources: tuple[str, ...]
    is_authenticated: bool
    """Whether a client proved itself, and did not only name itself."""
    hash_of_nobody: str = ""
    """What is stored as the password of a person who is made by an assertion, where a trust makes any."""


def refuse_assertion(reason: str) -> OAuthError:
    """One answer for everything that is wrong with an assertion; the reason is for the operator (WIF-07, JAG-17)."""
    return OAuthError(INVALID_GRANT, "The assertion is not accepted here for this request.", reason=reason)


async def find_standing_trusts(tx: Transaction, signed: SignedAssertion) -> list[TrustedIssuer]:
    """The trusts whose keys verified the assertion, as they are by now; those that were removed meanwhile are gone."""
    found = [await find_trusted_issuer(tx, trust.project_id, trust.trust_id) for trust in signed.trusts]
    return [trust for trust in found if trust is not None]


def judge_by_any(trusts: list[TrustedIssuer], judge: Callable[[TrustedIssuer], T]) -> tuple[TrustedIssuer, T]:
    """The first trust by which an assertion holds, and how.

    Raises `InvalidToken` and `OAuthError` as the last of them does.
    """
    refused: InvalidToken | OAuthError = InvalidToken("its issuer is not trusted any more")
    for trust in trusts:
        try:
            return trust, judge(trust)
        except (InvalidToken, OAuthError) as reason:
            refused = reason
    raise refused


def check_key(call: Call, assertion: GrantAssertion) -> None:
    """Whether the key that an assertion is bound to was proven with it. Raises `InvalidToken`. Spec: JAG-14"""
    if assertion.jkt is not None and assertion.jkt != call.jkt:
        raise InvalidToken("it is bound to a key that was not proven")


async def spend_assertion(tx: Transaction, trust: TrustedIssuer, assertion: GrantAssertion) -> None:
    """Spend an assertion; exactly one presentation ever passes, unless the trust lets it be used until it expires.

    Raises `InvalidToken`. Spec: JAG-16, choice C8; WIF-06 (I1, T32)
    """
    if trust.policy.reusable:
        return
    space, expires_at = f"issuer:{trust.issuer}", (assertion.expires_at + REMEMBERED_SECONDS) * 1000
    if not await claim_id(tx, trust.project_id, space, hash_secret(assertion.jti), expires_at):
        raise InvalidToken("it was used before")


async def refuse(
    tx: Transaction, call: Call, signed: SignedAssertion, actor: str, refused: InvalidToken | OAuthError
) -> Refused:
    """The refusal, its reason in the audit trail: what a trusted issuer signed is somebody's mistake, or their try."""
    project_id, trust_id = call.view.project.project_id, signed.trusts[0].trust_id
    if not await spend(tx, project_id, ASSERTION_RECORDED, f"{trust_id}@{call.source}", call.now):
        detail = {
            "source": call.source,
            "agent": call.agent,
            "issuer": signed.issuer,
            "subject": str(signed.claims.get("sub"))[:200],
            "reason": str(refused),
        }
        event = AuditEvent(audit.ASSERTION_REFUSED, actor, audit.trust_actor(trust_id), detail)
        await record(tx, project_id, event, call.now)
    return Refused(refused if isinstance(refused, OAuthError) else refuse_assertion(str(refused)))
