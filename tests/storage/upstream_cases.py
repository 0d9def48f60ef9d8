"""What the verbs of providers and identities are called with, to change or to see something of a filled project."""

from collections.abc import Awaitable, Callable
from typing import Any

from doorward.oauth.ids import TokenHash
from doorward.storage import identities, upstream
from doorward.storage.database import Transaction
from tests.storage.rows import (
    BROWSER_HASH,
    IDP,
    NOW,
    PROVIDER,
    STATE_HASH,
    USER,
    Tenant,
    make_provider,
    make_upstream_sign_in,
)

Act = Callable[[Transaction, Tenant], Awaitable[Any]]

CHANGES: dict[Callable[..., Any], Act] = {
    identities.link_identity: lambda tx, t: identities.link_identity(
        tx, t.project_id, "https://new.example.com", "one", USER, NOW
    ),
    identities.unlink_identity: lambda tx, t: identities.unlink_identity(tx, t.project_id, IDP, "sub-one"),
    upstream.add_upstream_provider: lambda tx, t: upstream.add_upstream_provider(
        tx, make_provider(t.project, "new"), b"sealed"
    ),
    upstream.update_upstream_provider: lambda tx, t: upstream.update_upstream_provider(
        tx, make_provider(t.project, name="New")
    ),
    upstream.replace_upstream_secret: lambda tx, t: upstream.replace_upstream_secret(
        tx, t.project_id, PROVIDER, b"sealed anew"
    ),
    upstream.remove_upstream_provider: lambda tx, t: upstream.remove_upstream_provider(tx, t.project_id, PROVIDER),
    upstream.add_upstream_sign_in: lambda tx, t: upstream.add_upstream_sign_in(
        tx, make_upstream_sign_in(t.project, TokenHash(b"new")), NOW
    ),
    upstream.consume_upstream_sign_in: lambda tx, t: upstream.consume_upstream_sign_in(
        tx, t.project_id, STATE_HASH, BROWSER_HASH, PROVIDER, NOW
    ),
}

LOOKS: dict[Callable[..., Any], tuple[Act, Any]] = {
    identities.find_linked_user: (
        lambda tx, t: identities.find_linked_user(tx, t.project_id, IDP, "sub-one"),
        None,
    ),
    identities.has_identity_at: (lambda tx, t: identities.has_identity_at(tx, t.project_id, IDP, USER), False),
    identities.list_identities: (lambda tx, t: identities.list_identities(tx, t.project_id), []),
    identities.list_identities_of: (lambda tx, t: identities.list_identities_of(tx, t.project_id, USER), []),
    upstream.list_upstream_providers: (lambda tx, t: upstream.list_upstream_providers(tx, t.project_id), []),
    upstream.find_upstream_secret: (lambda tx, t: upstream.find_upstream_secret(tx, t.project_id, PROVIDER), None),
    upstream.list_upstream_secrets: (lambda tx, t: upstream.list_upstream_secrets(tx, t.project_id), {}),
}
