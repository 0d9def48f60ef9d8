"""Names of audited actions, and how an actor or a target is written. One row per acknowledged change (I7)."""

SYSTEM = "system"

PROJECT_CREATED = "project.created"
PROJECT_CHANGED = "project.changed"
PROJECT_GRANTS_REVOKED = "project.grants_revoked"
PROJECT_STOPPED = "project.stopped"
PROJECT_RESUMED = "project.resumed"
RESOURCE_ADDED = "resource.added"
RESOURCE_CHANGED = "resource.changed"
RESOURCE_TOOLS_CHANGED = "resource.tools_changed"
RESOURCE_GRANTS_REVOKED = "resource.grants_revoked"
RESOURCE_STOPPED = "resource.stopped"
RESOURCE_RESUMED = "resource.resumed"
RESOURCE_REMOVED = "resource.removed"
CLIENT_REGISTERED = "client.registered"
CLIENT_ADDED = "client.added"
CLIENT_QUEUED = "client.queued"
CLIENT_APPROVED = "client.approved"
CLIENT_REINSTATED = "client.reinstated"
CLIENT_DENIED = "client.denied"
CLIENT_SUSPENDED = "client.suspended"
CLIENT_GRANTS_REVOKED = "client.grants_revoked"
CLIENT_SECRET_ROTATED = "client.secret_rotated"
CLIENT_CHANGED = "client.changed"
CLIENT_REMOVED = "client.removed"
SETUP_LINK_CREATED = "setup_link.created"
USER_ADDED = "user.added"
USER_CHANGED = "user.changed"
USER_GRANTS_REVOKED = "user.grants_revoked"
USER_REMOVED = "user.removed"
KEY_CREATED = "key.created"
KEY_REVOKED = "key.revoked"
ADMIN_TOKEN_CREATED = "admin_token.created"
ADMIN_TOKEN_REVOKED = "admin_token.revoked"
SEALING_KEY_ADDED = "sealing_key.added"
SEALING_KEY_DROPPED = "sealing_key.dropped"
INITIAL_TOKEN_CREATED = "initial_token.created"
SOFTWARE_TRUSTED = "software.trusted"
SOFTWARE_DISTRUSTED = "software.distrusted"
EXCHANGE_RULE_ADDED = "exchange_rule.added"
EXCHANGE_RULE_REMOVED = "exchange_rule.removed"
TRUST_ADDED = "trust.added"
TRUST_REMOVED = "trust.removed"
TRUST_REVOKED = "trust.revoked"
IDENTITY_LINKED = "identity.linked"
IDENTITY_UNLINKED = "identity.unlinked"
PROVIDER_ADDED = "provider.added"
PROVIDER_CHANGED = "provider.changed"
PROVIDER_REMOVED = "provider.removed"
SIGNING_KEY_ADDED = "signing_key.added"
SIGNING_KEY_REMOVED = "signing_key.removed"
MASTER_KEY_CHANGED = "master_key.changed"
PASSKEY_ADDED = "passkey.added"
PASSKEY_RENAMED = "passkey.renamed"
PASSKEY_REMOVED = "passkey.removed"
PASSKEY_COPIED = "passkey.copied"
AUTHENTICATOR_ADDED = "authenticator.added"
AUTHENTICATOR_REMOVED = "authenticator.removed"
RECOVERY_CODES_MADE = "recovery_codes.made"
RECOVERY_CODE_USED = "recovery_code.used"
FACTORS_RESET = "user.factors_reset"
SIGNED_IN = "session.started"
SIGNED_OUT = "session.ended"
CONSENT_ALLOWED = "consent.allowed"
CONSENT_DENIED = "consent.denied"
CODE_REDEEMED = "token.code_redeemed"
CODE_REUSED = "token.code_reused"
DEVICE_CODE_REDEEMED = "token.device_code_redeemed"
CLIENT_TOKEN_ISSUED = "token.client_issued"
TOKEN_EXCHANGED = "token.exchanged"
TOKEN_MINTED = "token.minted"
ASSERTION_ACCEPTED = "token.assertion_accepted"
ASSERTION_REFUSED = "token.assertion_refused"
TOKEN_REFRESHED = "token.refreshed"
REFRESH_REUSED = "token.refresh_reused"
TOKEN_REVOKED = "token.revoked"
GRANT_REVOKED = "grant.revoked"
GRANT_REOPENED = "grant.reopened"

INCIDENTS = (CODE_REUSED, REFRESH_REUSED, PASSKEY_COPIED)
"""What looks as if somebody holds a credential that is not theirs."""

TOKENS_GIVEN = (
    CODE_REDEEMED,
    DEVICE_CODE_REDEEMED,
    CLIENT_TOKEN_ISSUED,
    TOKEN_EXCHANGED,
    TOKEN_MINTED,
    ASSERTION_ACCEPTED,
    TOKEN_REFRESHED,
)
COUNTED = (SIGNED_IN, *TOKENS_GIVEN)
"""What is counted by the day."""


def user_actor(user_id: str) -> str:
    """A person, as actor or target."""
    return f"user:{user_id}"


def client_actor(client_id: str) -> str:
    """A client, as actor or target."""
    return f"client:{client_id}"


def resource_actor(resource_id: str) -> str:
    """A server that tells of itself, such as of its tools."""
    return f"resource:{resource_id}"


def trust_actor(trust_id: str) -> str:
    """A trusted issuer, as actor or target."""
    return f"trust:{trust_id}"


def provider_actor(slug: str) -> str:
    """An identity provider, as actor or target."""
    return f"provider:{slug}"


def key_actor(key_id: str) -> str:
    """A project key, as actor or target."""
    return f"key:{key_id}"


def admin_token_actor(token_id: str) -> str:
    """A token of the admin API, as actor or target."""
    return f"admin-token:{token_id}"


OPERATOR = "operator:cli"
