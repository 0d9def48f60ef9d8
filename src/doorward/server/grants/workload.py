"""Workloads: a platform that the project trusts says which of its programs asks, and no secret is kept anywhere.

There is no client and no person. What a workload may have is what its trust names; its tokens hang off the trust, so
removing that, or revoking everything of it, ends them at once.

Spec: MCP Workload Identity Federation, draft (WIF-01 … WIF-07); complaint 29
"""

from doorward.core import audit
from doorward.core.models import AuditEvent, Authorization, Refused, Resource
from doorward.core.policy import asked_alias
from doorward.core.trust import (
    WORKLOAD_SUBJECT,
    TrustedIssuer,
    check_trust,
    select_workload_resource,
    select_workload_scopes,
)
from doorward.oauth.errors import OAuthError
from doorward.oauth.grant_assertions import check_workload_assertion
from doorward.oauth.ids import ClientId
from doorward.oauth.jwt import InvalidToken
from doorward.oauth.scopes import Scopes
from doorward.storage.audit import record
from doorward.storage.database import Transaction

from .asserted import AssertionRequest, check_key, find_standing_trusts, judge_by_any, refuse, spend_assertion
from .call import Call


async def authorize(tx: Transaction, call: Call, request: AssertionRequest) -> Authorization | Refused:
    """Give the workload what its trust opens to it."""
    signed = request.signed
    try:
        accepted = {call.view.issuer, f"{call.view.issuer}/api/oauth/token"}
        assertion = check_workload_assertion(signed.claims, audiences=accepted, now=call.now // 1000)

        def judge(trust: TrustedIssuer) -> tuple[Resource, Scopes]:
            check_trust(trust, signed.claims, assertion.issued_at)
            resource = select_workload_resource(trust, request.resources, call.view.resources)
            return resource, select_workload_scopes(trust, resource, request.scope)

        trust, (resource, scope) = judge_by_any(await find_standing_trusts(tx, signed), judge)
        check_key(call, assertion)
        call.check_open(resource)
        await spend_assertion(tx, trust, assertion)
    except (InvalidToken, OAuthError) as refused:
        return await refuse(tx, call, signed, audit.trust_actor(signed.trusts[0].trust_id), refused)
    subject = workload_subject(trust, assertion.subject)
    detail = {
        "source": call.source,
        "agent": call.agent,
        "issuer": signed.issuer,
        "subject": assertion.subject,
        "resource": resource.resource_id,
        "scope": " ".join(scope),
    }
    event = AuditEvent(audit.ASSERTION_ACCEPTED, audit.trust_actor(trust.trust_id), subject, detail)
    await record(tx, trust.project_id, event, call.now)
    return Authorization(
        subject=subject,
        client_id=ClientId(trust.trust_id),
        resource=resource,
        scope=scope,
        alias=asked_alias(request.resources, resource),
    )


def workload_subject(trust: TrustedIssuer, subject: str) -> str:
    """The `sub` of a workload's tokens: no id of a person or of a client looks like it. Spec: WIF-05; OAuth 2.1 §7.4"""
    return f"{WORKLOAD_SUBJECT}{trust.trust_id}:{subject}"
