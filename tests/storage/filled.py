"""A project with a row in every table."""

from dataclasses import replace
from typing import Any

from doorward.core.factors import Passkey, PendingSignIn
from doorward.core.limits import Limit
from doorward.core.models import AuditEvent, Project
from doorward.core.timeline import TimelineEvent
from doorward.oauth.ids import ClientId, GrantId, TokenHash, UserId
from doorward.storage import (
    access_tokens,
    admin_tokens,
    audit,
    clients,
    codes,
    device_codes,
    exchange_rules,
    grants,
    idempotency,
    identities,
    interactions,
    keys,
    passkeys,
    pending_sign_ins,
    pushed_requests,
    registrations,
    second_factors,
    signing_keys,
    spent_ids,
    throttles,
    timeline,
    tokens,
    trusted_issuers,
    upstream,
    users,
)
from doorward.storage.database import Transaction
from tests.storage.rows import (
    ADMIN_HASH,
    ASKED_HASH,
    BROWSER_HASH,
    DAY,
    GRANT,
    IDP,
    INITIAL_HASH,
    KEY_HASH,
    NOW,
    SETUP_HASH,
    SOFTWARE_ISSUER,
    TRUST,
    UNANSWERED_HASH,
    USER,
    Tenant,
    make_admin_token,
    make_client,
    make_code,
    make_device_code,
    make_exchange_rule,
    make_family,
    make_grant,
    make_held_client,
    make_initial_access_token,
    make_interaction,
    make_key,
    make_provider,
    make_pushed_request,
    make_session,
    make_signing_key,
    make_trust,
    make_upstream_sign_in,
    make_user,
)

LIMIT = Limit("test", burst=1, period_ms=DAY)
HELD_USER_CODE = TokenHash(b"held user code")
ALLOWED_HASH = TokenHash(b"allowed device")
ENDED_GRANT = GrantId("grt_ended")
RECOVERY_HASH = TokenHash(b"recovery code")
PENDING_HASH = TokenHash(b"half a sign-in")


def make_passkey(project: Project, **changes: Any) -> Passkey:
    made = Passkey(
        project_id=project.project_id,
        passkey_id="pky_one",
        user_id=USER,
        credential_id=b"credential",
        credential=b"public key",
        sign_count=1,
        is_backup_eligible=True,
        is_backed_up=False,
        name="Telephone",
        created_at=NOW,
    )
    return replace(made, **changes)


def make_pending(project: Project, **changes: Any) -> PendingSignIn:
    made = PendingSignIn(project.project_id, PENDING_HASH, USER, BROWSER_HASH, NOW, NOW + DAY)
    return replace(made, **changes)


def make_step() -> TimelineEvent:
    return TimelineEvent(NOW, "token", "refused", "192.0.2.1", "app/1.0", "ref", reason="why")


async def fill(tx: Transaction, tenant: Tenant) -> None:
    """One row in every table."""
    project, project_id = tenant.project, tenant.project_id
    await users.add_user(tx, make_user(project, "usr_staff", role="owner"), "staff@example.com", "hash")
    await users.start_session(tx, make_session(project))
    await _fill_factors(tx, project)
    await users.replace_setup_link(tx, project_id, SETUP_HASH, NOW, NOW + DAY)
    await interactions.add_interaction(tx, make_interaction(project), NOW)
    await pushed_requests.add_pushed_request(tx, make_pushed_request(project), NOW)
    await grants.touch_grant(tx, project_id, GRANT, NOW)
    await codes.add_code(tx, make_code(project))
    await device_codes.add_device_code(tx, make_device_code(project))
    held = make_device_code(project, TokenHash(b"held"), user_code_hash=HELD_USER_CODE, user_id=USER)
    await device_codes.add_device_code(tx, held)
    allowed = replace(held, device_hash=ALLOWED_HASH, user_code_hash=TokenHash(b"allowed"), decision="allowed")
    await device_codes.add_device_code(tx, allowed)
    await tokens.start_family(tx, make_family(project))
    await tokens.revoke_access_token(tx, project_id, "mat_one", NOW + DAY, NOW)
    await clients.add_client(tx, make_held_client(project))
    for client_id, created_at in (("mcl_earlier", NOW - DAY), ("mcl_later", NOW)):
        await clients.add_client(tx, make_client(project, client_id, created_at=created_at, fingerprint="same"))
    await registrations.add_initial_access_token(tx, project_id, INITIAL_HASH, make_initial_access_token())
    await registrations.bury_client(tx, project_id, ClientId("mcl_gone"), "expired", NOW)
    await registrations.trust_software_issuer(tx, project_id, SOFTWARE_ISSUER, "{}", NOW)
    await spent_ids.claim_id(tx, project_id, "client:one", TokenHash(b"jti"), NOW + DAY)
    await access_tokens.add_access_token(tx, project_id, TokenHash(b"opaque"), "{}", NOW + DAY)
    await exchange_rules.add_exchange_rule(tx, make_exchange_rule(project))
    await signing_keys.add_signing_key(tx, project_id, make_signing_key())
    await trusted_issuers.add_trusted_issuer(tx, make_trust(project))
    await fill_upstream(tx, tenant)
    await identities.link_identity(tx, project_id, IDP, "sub-one", USER, NOW)
    await grants.add_grant(tx, make_grant(project, ENDED_GRANT, kind="assertion", granted_by=TRUST, revoked_at=NOW))
    await keys.add_project_key(tx, make_key(project), KEY_HASH)
    await _fill_admin(tx, project)
    await throttles.spend(tx, project_id, LIMIT, "somebody", NOW)
    await timeline.add_timeline_events(tx, project_id, [make_step()])
    await audit.record(tx, project_id, AuditEvent("filled", "system", project.slug), NOW)
    await audit.record(tx, project_id, AuditEvent("session.started", "system", project.slug), NOW)
    await audit.record(tx, project_id, AuditEvent("token.refresh_reused", "system", GRANT), NOW)


async def _fill_factors(tx: Transaction, project: Project) -> None:
    project_id = project.project_id
    await passkeys.add_passkey(tx, make_passkey(project))
    await second_factors.propose_totp(tx, project_id, USER, b"ciphertext", NOW)
    await second_factors.confirm_totp(tx, project_id, USER, proposed_at=NOW, step=1, now=NOW)
    await second_factors.propose_totp(tx, project_id, UserId("usr_staff"), b"proposed", NOW)
    await second_factors.replace_recovery_codes(tx, project_id, USER, [RECOVERY_HASH], NOW)
    await pending_sign_ins.add_pending_sign_in(tx, make_pending(project))


async def _fill_admin(tx: Transaction, project: Project) -> None:
    project_id = project.project_id
    await admin_tokens.add_admin_token(tx, make_admin_token(project), ADMIN_HASH)
    for asked in (ASKED_HASH, UNANSWERED_HASH):
        await idempotency.claim_idempotency_key(tx, project_id, asked, TokenHash(b"said"), now=NOW, until=NOW + DAY)
    await idempotency.keep_idempotent_answer(tx, project_id, ASKED_HASH, "{}")


async def fill_upstream(tx: Transaction, tenant: Tenant) -> None:
    """A provider that people sign in by, and somebody on the way to it."""
    await upstream.add_upstream_provider(tx, make_provider(tenant.project), b"sealed")
    await upstream.add_upstream_sign_in(tx, make_upstream_sign_in(tenant.project), NOW)
