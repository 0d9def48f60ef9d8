"""What the verbs of passkeys and second factors are called with, for the tests that no project sees another."""

from collections.abc import Awaitable, Callable
from typing import Any

from doorward.oauth.ids import TokenHash, UserId
from doorward.storage import passkeys, pending_sign_ins, second_factors, users
from doorward.storage.database import Transaction
from tests.storage.filled import PENDING_HASH, RECOVERY_HASH, make_passkey, make_pending
from tests.storage.rows import BROWSER_HASH, NOW, SESSION_HASH, USER, Tenant

Act = Callable[[Transaction, Tenant], Awaitable[Any]]
FACTOR_CHANGES: dict[Callable[..., Any], Act] = {
    users.end_own_session: lambda tx, t: users.end_own_session(tx, t.project_id, USER, SESSION_HASH),
    passkeys.add_passkey: lambda tx, t: passkeys.add_passkey(
        tx, make_passkey(t.project, passkey_id="pky_new", credential_id=b"new")
    ),
    passkeys.rename_passkey: lambda tx, t: passkeys.rename_passkey(tx, t.project_id, USER, "pky_one", name="New"),
    passkeys.use_passkey: lambda tx, t: passkeys.use_passkey(
        tx, make_passkey(t.project), sign_count=2, is_backed_up=True, now=NOW
    ),
    passkeys.remove_passkey: lambda tx, t: passkeys.remove_passkey(tx, t.project_id, USER, "pky_one"),
    passkeys.remove_passkeys: lambda tx, t: passkeys.remove_passkeys(tx, t.project_id, USER),
    second_factors.propose_totp: lambda tx, t: second_factors.propose_totp(
        tx, t.project_id, UserId("usr_staff"), b"new", NOW + 1
    ),
    second_factors.confirm_totp: lambda tx, t: second_factors.confirm_totp(
        tx, t.project_id, UserId("usr_staff"), proposed_at=NOW, step=1, now=NOW
    ),
    second_factors.spend_totp_step: lambda tx, t: second_factors.spend_totp_step(tx, t.project_id, USER, 2),
    second_factors.replace_totp_ciphertext: lambda tx, t: second_factors.replace_totp_ciphertext(
        tx, t.project_id, USER, b"anew"
    ),
    second_factors.remove_totp: lambda tx, t: second_factors.remove_totp(tx, t.project_id, USER),
    second_factors.replace_recovery_codes: lambda tx, t: second_factors.replace_recovery_codes(
        tx, t.project_id, USER, [TokenHash(b"new")], NOW
    ),
    second_factors.spend_recovery_code: lambda tx, t: second_factors.spend_recovery_code(
        tx, t.project_id, USER, RECOVERY_HASH, NOW
    ),
    pending_sign_ins.add_pending_sign_in: lambda tx, t: pending_sign_ins.add_pending_sign_in(
        tx, make_pending(t.project, token_hash=TokenHash(b"new"))
    ),
    pending_sign_ins.consume_pending_sign_in: lambda tx, t: pending_sign_ins.consume_pending_sign_in(
        tx, t.project_id, PENDING_HASH, BROWSER_HASH, NOW
    ),
    pending_sign_ins.end_pending_sign_ins: lambda tx, t: pending_sign_ins.end_pending_sign_ins(tx, t.project_id, USER),
}
FACTOR_LOOKS: dict[Callable[..., Any], tuple[Act, Any]] = {
    users.has_password: (lambda tx, t: users.has_password(tx, t.project_id, USER), False),
    passkeys.find_passkey: (lambda tx, t: passkeys.find_passkey(tx, t.project_id, b"credential"), None),
    passkeys.list_passkeys: (lambda tx, t: passkeys.list_passkeys(tx, t.project_id, USER), []),
    passkeys.count_passkeys: (lambda tx, t: passkeys.count_passkeys(tx, t.project_id), {}),
    second_factors.find_totp: (lambda tx, t: second_factors.find_totp(tx, t.project_id, USER), None),
    second_factors.list_totp_owners: (lambda tx, t: second_factors.list_totp_owners(tx, t.project_id), frozenset()),
    second_factors.list_totp_ciphertexts: (
        lambda tx, t: second_factors.list_totp_ciphertexts(tx, t.project_id),
        [],
    ),
    second_factors.list_recovery_codes: (
        lambda tx, t: second_factors.list_recovery_codes(tx, t.project_id, USER),
        [],
    ),
    second_factors.count_recovery_codes: (
        lambda tx, t: second_factors.count_recovery_codes(tx, t.project_id),
        {},
    ),
    pending_sign_ins.find_pending_sign_in: (
        lambda tx, t: pending_sign_ins.find_pending_sign_in(tx, t.project_id, PENDING_HASH, BROWSER_HASH, NOW),
        None,
    ),
}
