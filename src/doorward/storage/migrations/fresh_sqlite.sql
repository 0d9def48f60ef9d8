CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

CREATE TABLE projects (
    project_id TEXT NOT NULL, 
    slug TEXT NOT NULL, 
    name TEXT NOT NULL, 
    settings TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_projects PRIMARY KEY (project_id)
);

CREATE UNIQUE INDEX ix_projects_slug ON projects (slug);

CREATE TABLE server_secrets (
    purpose TEXT NOT NULL, 
    ciphertext BLOB NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_server_secrets PRIMARY KEY (purpose)
);

CREATE TABLE audit_events (
    project_id TEXT NOT NULL, 
    at BIGINT NOT NULL, 
    event_id TEXT NOT NULL, 
    action TEXT NOT NULL, 
    actor TEXT NOT NULL, 
    target TEXT NOT NULL, 
    detail TEXT NOT NULL, 
    CONSTRAINT pk_audit_events PRIMARY KEY (project_id, at, event_id), 
    CONSTRAINT fk_audit_events_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE TABLE clients (
    project_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    metadata TEXT NOT NULL, 
    secret_hash BLOB, 
    created_at BIGINT NOT NULL, 
    activated_at BIGINT, 
    last_used_at BIGINT, 
    expires_at BIGINT, 
    CONSTRAINT pk_clients PRIMARY KEY (project_id, client_id), 
    CONSTRAINT fk_clients_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_clients_project_id_expires_at ON clients (project_id, expires_at);

CREATE TABLE project_keys (
    project_id TEXT NOT NULL, 
    key_id TEXT NOT NULL, 
    name TEXT NOT NULL, 
    capabilities TEXT NOT NULL, 
    secret_hash BLOB NOT NULL, 
    resource_id TEXT, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT, 
    last_used_at BIGINT, 
    revoked_at BIGINT, 
    CONSTRAINT pk_project_keys PRIMARY KEY (project_id, key_id), 
    CONSTRAINT fk_project_keys_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX ix_project_keys_project_id_secret_hash ON project_keys (project_id, secret_hash);

CREATE TABLE resources (
    project_id TEXT NOT NULL, 
    resource_id TEXT NOT NULL, 
    uri TEXT NOT NULL, 
    match_key TEXT NOT NULL, 
    name TEXT NOT NULL, 
    scopes TEXT NOT NULL, 
    default_scopes TEXT NOT NULL, 
    is_default BIGINT NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_resources PRIMARY KEY (project_id, resource_id), 
    CONSTRAINT fk_resources_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX ix_resources_project_id_match_key ON resources (project_id, match_key);

CREATE TABLE revoked_tokens (
    project_id TEXT NOT NULL, 
    jti TEXT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    CONSTRAINT pk_revoked_tokens PRIMARY KEY (project_id, jti), 
    CONSTRAINT fk_revoked_tokens_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_revoked_tokens_project_id_expires_at ON revoked_tokens (project_id, expires_at);

CREATE TABLE setup_links (
    project_id TEXT NOT NULL, 
    token_hash BLOB NOT NULL, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    used_at BIGINT, 
    CONSTRAINT pk_setup_links PRIMARY KEY (project_id, token_hash), 
    CONSTRAINT fk_setup_links_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE TABLE signing_keys (
    project_id TEXT NOT NULL, 
    kid TEXT NOT NULL, 
    alg TEXT NOT NULL, 
    public_jwk TEXT NOT NULL, 
    private_ciphertext BLOB NOT NULL, 
    created_at BIGINT NOT NULL, 
    signs_from BIGINT NOT NULL, 
    removed_at BIGINT, 
    CONSTRAINT pk_signing_keys PRIMARY KEY (project_id, kid), 
    CONSTRAINT fk_signing_keys_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE TABLE throttles (
    project_id TEXT NOT NULL, 
    bucket TEXT NOT NULL, 
    full_at BIGINT NOT NULL, 
    CONSTRAINT pk_throttles PRIMARY KEY (project_id, bucket), 
    CONSTRAINT fk_throttles_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_throttles_project_id_full_at ON throttles (project_id, full_at);

CREATE TABLE users (
    project_id TEXT NOT NULL, 
    user_id TEXT NOT NULL, 
    email TEXT NOT NULL, 
    email_key TEXT NOT NULL, 
    name TEXT NOT NULL, 
    role TEXT NOT NULL, 
    password_hash TEXT NOT NULL, 
    enabled BIGINT NOT NULL, 
    created_at BIGINT NOT NULL, 
    last_login_at BIGINT, 
    CONSTRAINT pk_users PRIMARY KEY (project_id, user_id), 
    CONSTRAINT fk_users_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX ix_users_project_id_email_key ON users (project_id, email_key);

CREATE TABLE grants (
    project_id TEXT NOT NULL, 
    grant_id TEXT NOT NULL, 
    user_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    resource_id TEXT NOT NULL, 
    scope TEXT NOT NULL, 
    redirect_uri TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    last_used_at BIGINT, 
    revoked_at BIGINT, 
    CONSTRAINT pk_grants PRIMARY KEY (project_id, grant_id), 
    CONSTRAINT fk_grants_clients FOREIGN KEY(project_id, client_id) REFERENCES clients (project_id, client_id) ON DELETE CASCADE, 
    CONSTRAINT fk_grants_resources FOREIGN KEY(project_id, resource_id) REFERENCES resources (project_id, resource_id) ON DELETE CASCADE, 
    CONSTRAINT fk_grants_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE INDEX ix_grants_project_id_client_id ON grants (project_id, client_id);

CREATE INDEX ix_grants_project_id_resource_id ON grants (project_id, resource_id);

CREATE INDEX ix_grants_project_id_user_id ON grants (project_id, user_id);

CREATE TABLE interactions (
    project_id TEXT NOT NULL, 
    interaction_hash BLOB NOT NULL, 
    session_hash BLOB NOT NULL, 
    user_id TEXT NOT NULL, 
    request TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    used_at BIGINT, 
    CONSTRAINT pk_interactions PRIMARY KEY (project_id, interaction_hash), 
    CONSTRAINT fk_interactions_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE INDEX ix_interactions_project_id_expires_at ON interactions (project_id, expires_at);

CREATE TABLE sessions (
    project_id TEXT NOT NULL, 
    session_hash BLOB NOT NULL, 
    user_id TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    last_seen_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    agent TEXT NOT NULL, 
    CONSTRAINT pk_sessions PRIMARY KEY (project_id, session_hash), 
    CONSTRAINT fk_sessions_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE INDEX ix_sessions_project_id_expires_at ON sessions (project_id, expires_at);

CREATE INDEX ix_sessions_project_id_user_id ON sessions (project_id, user_id);

CREATE TABLE codes (
    project_id TEXT NOT NULL, 
    code_hash BLOB NOT NULL, 
    grant_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    redirect_uri TEXT NOT NULL, 
    redirect_uri_sent BIGINT NOT NULL, 
    code_challenge TEXT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    used_at BIGINT, 
    failed_tries BIGINT NOT NULL, 
    CONSTRAINT pk_codes PRIMARY KEY (project_id, code_hash), 
    CONSTRAINT fk_codes_grants FOREIGN KEY(project_id, grant_id) REFERENCES grants (project_id, grant_id) ON DELETE CASCADE
);

CREATE INDEX ix_codes_project_id_expires_at ON codes (project_id, expires_at);

CREATE INDEX ix_codes_project_id_grant_id ON codes (project_id, grant_id);

CREATE TABLE refresh_families (
    project_id TEXT NOT NULL, 
    family_id TEXT NOT NULL, 
    grant_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    salt BLOB NOT NULL, 
    policy TEXT NOT NULL, 
    generation BIGINT NOT NULL, 
    rotated_at BIGINT NOT NULL, 
    previous_rotated_at BIGINT NOT NULL, 
    idle_expires_at BIGINT NOT NULL, 
    absolute_expires_at BIGINT NOT NULL, 
    revoked_at BIGINT, 
    CONSTRAINT pk_refresh_families PRIMARY KEY (project_id, family_id), 
    CONSTRAINT fk_refresh_families_grants FOREIGN KEY(project_id, grant_id) REFERENCES grants (project_id, grant_id) ON DELETE CASCADE
);

CREATE INDEX ix_refresh_families_project_id_grant_id ON refresh_families (project_id, grant_id);

CREATE INDEX ix_refresh_families_project_id_idle_expires_at ON refresh_families (project_id, idle_expires_at);

INSERT INTO alembic_version (version_num) VALUES ('0001') RETURNING version_num;

-- Running upgrade 0001 -> 0002

ALTER TABLE clients ADD COLUMN status TEXT DEFAULT 'active' NOT NULL;

ALTER TABLE clients ADD COLUMN void_before BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE clients ADD COLUMN secret_expires_at BIGINT;

ALTER TABLE clients ADD COLUMN previous_secret_hash BLOB;

ALTER TABLE clients ADD COLUMN previous_secret_expires_at BIGINT;

ALTER TABLE clients ADD COLUMN registration_token_hash BLOB;

ALTER TABLE clients ADD COLUMN verified_by TEXT;

ALTER TABLE clients ADD COLUMN fresh_until BIGINT;

ALTER TABLE clients ADD COLUMN proposed TEXT;

CREATE TABLE client_tombstones (
    project_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    removed_at BIGINT NOT NULL, 
    CONSTRAINT pk_client_tombstones PRIMARY KEY (project_id, client_id), 
    CONSTRAINT fk_client_tombstones_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_client_tombstones_project_id_removed_at ON client_tombstones (project_id, removed_at);

CREATE TABLE initial_access_tokens (
    project_id TEXT NOT NULL, 
    token_hash BLOB NOT NULL, 
    name TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT, 
    uses_left BIGINT NOT NULL, 
    CONSTRAINT pk_initial_access_tokens PRIMARY KEY (project_id, token_hash), 
    CONSTRAINT fk_initial_access_tokens_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE TABLE software_issuers (
    project_id TEXT NOT NULL, 
    issuer TEXT NOT NULL, 
    jwks TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_software_issuers PRIMARY KEY (project_id, issuer), 
    CONSTRAINT fk_software_issuers_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE TABLE assertion_ids (
    project_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    jti_hash BLOB NOT NULL, 
    expires_at BIGINT NOT NULL, 
    CONSTRAINT pk_assertion_ids PRIMARY KEY (project_id, client_id, jti_hash), 
    CONSTRAINT fk_assertion_ids_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_assertion_ids_project_id_expires_at ON assertion_ids (project_id, expires_at);

UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

ALTER TABLE projects ADD COLUMN void_before BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE projects ADD COLUMN stopped_at BIGINT;

ALTER TABLE projects ADD COLUMN revocation_seq BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE resources ADD COLUMN settings TEXT DEFAULT '{}' NOT NULL;

ALTER TABLE resources ADD COLUMN void_before BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE resources ADD COLUMN stopped_at BIGINT;

ALTER TABLE clients ADD COLUMN fingerprint TEXT;

ALTER TABLE users ADD COLUMN void_before BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE grants ADD COLUMN kind TEXT DEFAULT 'consent' NOT NULL;

ALTER TABLE grants ADD COLUMN device_label TEXT DEFAULT '' NOT NULL;

ALTER TABLE grants ADD COLUMN device_id BLOB;

ALTER TABLE grants ADD COLUMN auth_time BIGINT;

ALTER TABLE grants ADD COLUMN granted_by TEXT;

ALTER TABLE grants ADD COLUMN alias TEXT;

ALTER TABLE codes ADD COLUMN dpop_jkt TEXT;

ALTER TABLE refresh_families ADD COLUMN dpop_jkt TEXT;

ALTER TABLE refresh_families ADD COLUMN last_source TEXT;

ALTER TABLE refresh_families ADD COLUMN last_agent TEXT;

CREATE INDEX ix_clients_project_id_fingerprint ON clients (project_id, fingerprint);

CREATE TABLE spent_ids (
    project_id TEXT NOT NULL, 
    space TEXT NOT NULL, 
    id_hash BLOB NOT NULL, 
    expires_at BIGINT NOT NULL, 
    CONSTRAINT pk_spent_ids PRIMARY KEY (project_id, space, id_hash), 
    CONSTRAINT fk_spent_ids_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_spent_ids_project_id_expires_at ON spent_ids (project_id, expires_at);

CREATE TABLE identities (
    project_id TEXT NOT NULL, 
    issuer TEXT NOT NULL, 
    subject TEXT NOT NULL, 
    user_id TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_identities PRIMARY KEY (project_id, issuer, subject), 
    CONSTRAINT fk_identities_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE INDEX ix_identities_project_id_user_id ON identities (project_id, user_id);

CREATE TABLE access_tokens (
    project_id TEXT NOT NULL, 
    token_hash BLOB NOT NULL, 
    claims TEXT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    CONSTRAINT pk_access_tokens PRIMARY KEY (project_id, token_hash), 
    CONSTRAINT fk_access_tokens_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_access_tokens_project_id_expires_at ON access_tokens (project_id, expires_at);

CREATE TABLE revocations (
    project_id TEXT NOT NULL, 
    seq BIGINT NOT NULL, 
    mark TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    subject TEXT NOT NULL, 
    state TEXT NOT NULL, 
    void_before BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    CONSTRAINT pk_revocations PRIMARY KEY (project_id, seq), 
    CONSTRAINT fk_revocations_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_revocations_project_id_expires_at ON revocations (project_id, expires_at);

CREATE TABLE pushed_requests (
    project_id TEXT NOT NULL, 
    request_hash BLOB NOT NULL, 
    client_id TEXT NOT NULL, 
    parameters TEXT NOT NULL, 
    dpop_jkt TEXT, 
    browser_hash BLOB, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    used_at BIGINT, 
    CONSTRAINT pk_pushed_requests PRIMARY KEY (project_id, request_hash), 
    CONSTRAINT fk_pushed_requests_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_pushed_requests_project_id_expires_at ON pushed_requests (project_id, expires_at);

CREATE TABLE device_codes (
    project_id TEXT NOT NULL, 
    device_hash BLOB NOT NULL, 
    user_code_hash BLOB NOT NULL, 
    client_id TEXT NOT NULL, 
    resource_id TEXT NOT NULL, 
    scope TEXT NOT NULL, 
    alias TEXT, 
    source TEXT NOT NULL, 
    agent TEXT NOT NULL, 
    dpop_jkt TEXT, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    interval_ms BIGINT NOT NULL, 
    polled_at BIGINT, 
    user_id TEXT, 
    decision TEXT NOT NULL, 
    grant_id TEXT, 
    used_at BIGINT, 
    CONSTRAINT pk_device_codes PRIMARY KEY (project_id, device_hash), 
    CONSTRAINT fk_device_codes_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_device_codes_project_id_expires_at ON device_codes (project_id, expires_at);

CREATE UNIQUE INDEX ix_device_codes_project_id_user_code_hash ON device_codes (project_id, user_code_hash);

CREATE TABLE exchange_rules (
    project_id TEXT NOT NULL, 
    rule_id TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    from_resource_id TEXT, 
    to_resource_id TEXT NOT NULL, 
    mode TEXT NOT NULL, 
    scope TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_exchange_rules PRIMARY KEY (project_id, rule_id), 
    CONSTRAINT fk_exchange_rules_clients FOREIGN KEY(project_id, client_id) REFERENCES clients (project_id, client_id) ON DELETE CASCADE, 
    CONSTRAINT fk_exchange_rules_resources FOREIGN KEY(project_id, to_resource_id) REFERENCES resources (project_id, resource_id) ON DELETE CASCADE
);

CREATE INDEX ix_exchange_rules_project_id_client_id ON exchange_rules (project_id, client_id);

CREATE TABLE trusted_issuers (
    project_id TEXT NOT NULL, 
    trust_id TEXT NOT NULL, 
    issuer TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    jwks_uri TEXT, 
    jwks TEXT, 
    policy TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    void_before BIGINT DEFAULT '0' NOT NULL, 
    CONSTRAINT pk_trusted_issuers PRIMARY KEY (project_id, trust_id), 
    CONSTRAINT fk_trusted_issuers_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_trusted_issuers_project_id_issuer_kind ON trusted_issuers (project_id, issuer, kind);

CREATE TABLE timeline_events (
    project_id TEXT NOT NULL, 
    at BIGINT NOT NULL, 
    event_id TEXT NOT NULL, 
    step TEXT NOT NULL, 
    outcome TEXT NOT NULL, 
    reference TEXT NOT NULL, 
    client_id TEXT, 
    flow TEXT, 
    grant_id TEXT, 
    user_id TEXT, 
    source TEXT NOT NULL, 
    agent TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    CONSTRAINT pk_timeline_events PRIMARY KEY (project_id, at, event_id), 
    CONSTRAINT fk_timeline_events_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_timeline_events_project_id_client_id_at ON timeline_events (project_id, client_id, at);

CREATE INDEX ix_timeline_events_project_id_reference ON timeline_events (project_id, reference);

INSERT INTO spent_ids (project_id, space, id_hash, expires_at) SELECT project_id, 'client:' || client_id, jti_hash, expires_at FROM assertion_ids;

DROP TABLE assertion_ids;

UPDATE alembic_version SET version_num='0003' WHERE alembic_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

ALTER TABLE grants ADD COLUMN tools_at BIGINT DEFAULT '0' NOT NULL;

UPDATE alembic_version SET version_num='0004' WHERE alembic_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

CREATE TABLE passkeys (
    project_id TEXT NOT NULL, 
    passkey_id TEXT NOT NULL, 
    user_id TEXT NOT NULL, 
    credential_id BLOB NOT NULL, 
    credential BLOB NOT NULL, 
    sign_count BIGINT NOT NULL, 
    is_backup_eligible BIGINT NOT NULL, 
    is_backed_up BIGINT NOT NULL, 
    name TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    last_used_at BIGINT, 
    CONSTRAINT pk_passkeys PRIMARY KEY (project_id, passkey_id), 
    CONSTRAINT fk_passkeys_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX ix_passkeys_project_id_credential_id ON passkeys (project_id, credential_id);

CREATE INDEX ix_passkeys_project_id_user_id ON passkeys (project_id, user_id);

CREATE TABLE totp_secrets (
    project_id TEXT NOT NULL, 
    user_id TEXT NOT NULL, 
    ciphertext BLOB NOT NULL, 
    created_at BIGINT NOT NULL, 
    confirmed_at BIGINT, 
    last_step BIGINT NOT NULL, 
    CONSTRAINT pk_totp_secrets PRIMARY KEY (project_id, user_id), 
    CONSTRAINT fk_totp_secrets_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE TABLE recovery_codes (
    project_id TEXT NOT NULL, 
    code_hash BLOB NOT NULL, 
    user_id TEXT NOT NULL, 
    created_at BIGINT NOT NULL, 
    used_at BIGINT, 
    CONSTRAINT pk_recovery_codes PRIMARY KEY (project_id, code_hash), 
    CONSTRAINT fk_recovery_codes_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE INDEX ix_recovery_codes_project_id_user_id ON recovery_codes (project_id, user_id);

CREATE TABLE pending_sign_ins (
    project_id TEXT NOT NULL, 
    token_hash BLOB NOT NULL, 
    user_id TEXT NOT NULL, 
    browser_hash BLOB NOT NULL, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    used_at BIGINT, 
    CONSTRAINT pk_pending_sign_ins PRIMARY KEY (project_id, token_hash), 
    CONSTRAINT fk_pending_sign_ins_users FOREIGN KEY(project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
);

CREATE INDEX ix_pending_sign_ins_project_id_user_id ON pending_sign_ins (project_id, user_id);

CREATE INDEX ix_pending_sign_ins_expires_at ON pending_sign_ins (expires_at);

UPDATE alembic_version SET version_num='0005' WHERE alembic_version.version_num = '0004';

-- Running upgrade 0005 -> 0006

CREATE TABLE admin_tokens (
    project_id TEXT NOT NULL, 
    token_id TEXT NOT NULL, 
    name TEXT NOT NULL, 
    role TEXT NOT NULL, 
    scopes TEXT NOT NULL, 
    secret_hash BLOB NOT NULL, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT, 
    last_used_at BIGINT, 
    revoked_at BIGINT, 
    CONSTRAINT pk_admin_tokens PRIMARY KEY (project_id, token_id), 
    CONSTRAINT fk_admin_tokens_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX ix_admin_tokens_project_id_secret_hash ON admin_tokens (project_id, secret_hash);

CREATE TABLE idempotency_keys (
    project_id TEXT NOT NULL, 
    key_hash BLOB NOT NULL, 
    request_hash BLOB NOT NULL, 
    answer TEXT, 
    expires_at BIGINT NOT NULL, 
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (project_id, key_hash), 
    CONSTRAINT fk_idempotency_keys_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_idempotency_keys_project_id_expires_at ON idempotency_keys (project_id, expires_at);

UPDATE alembic_version SET version_num='0006' WHERE alembic_version.version_num = '0005';

-- Running upgrade 0006 -> 0007

ALTER TABLE grants ADD COLUMN expires_at BIGINT;

UPDATE alembic_version SET version_num='0007' WHERE alembic_version.version_num = '0006';

-- Running upgrade 0007 -> 0008

CREATE TABLE upstream_providers (
    project_id TEXT NOT NULL, 
    slug TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    name TEXT NOT NULL, 
    issuer TEXT NOT NULL, 
    client_id TEXT NOT NULL, 
    secret_ciphertext BLOB NOT NULL, 
    scopes TEXT NOT NULL, 
    sign_up TEXT NOT NULL, 
    enabled BIGINT NOT NULL, 
    created_at BIGINT NOT NULL, 
    CONSTRAINT pk_upstream_providers PRIMARY KEY (project_id, slug), 
    CONSTRAINT fk_upstream_providers_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE TABLE upstream_sign_ins (
    project_id TEXT NOT NULL, 
    state_hash BLOB NOT NULL, 
    browser_hash BLOB NOT NULL, 
    slug TEXT NOT NULL, 
    next_path TEXT NOT NULL, 
    link_user_id TEXT, 
    session_hash BLOB, 
    created_at BIGINT NOT NULL, 
    expires_at BIGINT NOT NULL, 
    used_at BIGINT, 
    CONSTRAINT pk_upstream_sign_ins PRIMARY KEY (project_id, state_hash), 
    CONSTRAINT fk_upstream_sign_ins_projects FOREIGN KEY(project_id) REFERENCES projects (project_id) ON DELETE CASCADE
);

CREATE INDEX ix_upstream_sign_ins_project_id_expires_at ON upstream_sign_ins (project_id, expires_at);

UPDATE alembic_version SET version_num='0008' WHERE alembic_version.version_num = '0007';

