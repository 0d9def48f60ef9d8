"""Secrets and keys: of backends, of programs that use this API, and of the server."""

from typing import Annotated, Any

from pydantic import Field

from doorward.core.admin_access import AdminToken, TokenRole
from doorward.core.models import Capability
from doorward.manage import admin_tokens, keys, resources, signing_keys

from .paging import page_of
from .problems import FORBIDDEN, Problem
from .shapes import Answer, Body, Line, Name, Page, Paging, Secret, Time
from .table import Call, Operation


class KeyAnswer(Answer):
    """A key of a backend, and what it may do."""

    key_id: str
    name: str
    capabilities: list[Capability]
    resource_id: str | None
    created_at: Time
    revoked_at: Time | None


class NewKeyAnswer(KeyAnswer):
    """A key that was made, with its secret."""

    secret: Secret


class KeyPage(Page[KeyAnswer]):
    """Keys, oldest first, ended ones too."""


class KeyBody(Body):
    """A key to make."""

    capabilities: Annotated[list[Capability], Field(min_length=1, max_length=10)]
    name: Name = ""
    resource_id: Annotated[Line, Field(description="Introspect and mint for this MCP server only.")] = ""


class AdminTokenAnswer(Answer):
    """A token of this API."""

    token_id: str
    name: str
    role: TokenRole
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class NewAdminTokenAnswer(AdminTokenAnswer):
    """A token that was made, with its secret."""

    secret: Secret


class AdminTokenPage(Page[AdminTokenAnswer]):
    """Tokens of this API, oldest first, ended ones too."""


class AdminTokenBody(Body):
    """A token to make, which does nothing that the one that makes it does not."""

    name: Annotated[Name, Field(min_length=1)]
    role: TokenRole
    scopes: Annotated[
        list[Name], Field(max_length=32, description="`read`, or areas with `:read` or `:write`; none: all.")
    ] = []
    expires_in: Annotated[int | None, Field(ge=1, description="Seconds; null: until it is removed.")] = None


class SigningKeyAnswer(Answer):
    """A published key that access tokens are signed with."""

    kid: str
    alg: str
    created_at: Time
    signs_from: Time
    removed_at: Time | None


class SigningKeyList(Answer):
    """The published keys."""

    items: list[SigningKeyAnswer]


class KeyRotationBody(Body):
    """How signing keys are replaced."""

    alg: Annotated[Name, Field(description="ES256, EdDSA or RS256; empty: each that the project has.")] = ""
    emergency: Annotated[
        bool, Field(description="Somebody else may have a key: void what the old ones signed, now.")
    ] = False


async def list_keys(call: Call, paging: Paging) -> KeyPage:
    found = await keys.list_all(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda key: (key.created_at, key.key_id))
    return KeyPage(items=[KeyAnswer(**keys.describe(key)) for key in items], next_cursor=cursor)


async def add_key(call: Call, body: KeyBody) -> NewKeyAnswer:
    bound = await resources.get(call.operator, call.project, body.resource_id) if body.resource_id else None
    key, secret = await keys.create(
        call.operator, call.project, tuple(body.capabilities), name=body.name, resource=bound
    )
    return NewKeyAnswer(**keys.describe(key), secret=secret)


async def remove_key(call: Call) -> None:
    await keys.revoke(call.operator, call.project, call.named["key_id"])


async def list_admin_tokens(call: Call, paging: Paging) -> AdminTokenPage:
    found = await admin_tokens.list_all(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda token: (token.created_at, token.token_id))
    return AdminTokenPage(items=[_token(token) for token in items], next_cursor=cursor)


async def add_admin_token(call: Call, body: AdminTokenBody) -> NewAdminTokenAnswer:
    if not call.token.may_pass_on(body.role, body.scopes):
        raise Problem(FORBIDDEN, "A token makes none that does more than itself.")
    token, secret = await admin_tokens.create(
        call.operator, call.project, body.name, body.role, scopes=tuple(body.scopes), seconds=body.expires_in
    )
    return NewAdminTokenAnswer(**admin_tokens.describe(token), secret=secret)


async def remove_admin_token(call: Call) -> None:
    await admin_tokens.revoke(call.operator, call.project, call.named["token_id"])


async def list_signing_keys(call: Call) -> SigningKeyList:
    return _signing_keys(await signing_keys.list_keys(call.operator, call.project))


async def rotate_signing_keys(call: Call, body: KeyRotationBody) -> SigningKeyList:
    rotate = signing_keys.replace_at_once if body.emergency else signing_keys.rotate
    return _signing_keys(await rotate(call.operator, call.project, body.alg))


def _signing_keys(found: Any) -> SigningKeyList:
    return SigningKeyList(
        items=[
            SigningKeyAnswer(
                kid=key.kid,
                alg=key.alg,
                created_at=key.created_at,
                signs_from=key.signs_from,
                removed_at=key.removed_at,
            )
            for key in found
        ]
    )


def _token(token: AdminToken) -> AdminTokenAnswer:
    return AdminTokenAnswer(**admin_tokens.describe(token))


OPERATIONS = (
    Operation("GET", "/keys", "listKeys", "Secrets of your backends", "keys", list_keys, KeyPage, query=Paging),
    Operation("POST", "/keys", "addKey", "Make a key for a backend", "keys", add_key, NewKeyAnswer, KeyBody, once=True),
    Operation("DELETE", "/keys/{key_id}", "removeKey", "End a key at once", "keys", remove_key),
    Operation(
        "GET",
        "/admin-tokens",
        "listAdminTokens",
        "Tokens of this API",
        "admin-tokens",
        list_admin_tokens,
        AdminTokenPage,
        query=Paging,
        least="owner",
    ),
    Operation(
        "POST",
        "/admin-tokens",
        "addAdminToken",
        "Make a token of this API",
        "admin-tokens",
        add_admin_token,
        NewAdminTokenAnswer,
        AdminTokenBody,
        least="owner",
        once=True,
    ),
    Operation(
        "DELETE",
        "/admin-tokens/{token_id}",
        "removeAdminToken",
        "End a token of this API at once",
        "admin-tokens",
        remove_admin_token,
        least="owner",
    ),
    Operation(
        "GET",
        "/signing-keys",
        "listSigningKeys",
        "The published signing keys",
        "signing-keys",
        list_signing_keys,
        SigningKeyList,
    ),
    Operation(
        "POST",
        "/signing-keys/rotate",
        "rotateSigningKeys",
        "Publish the next signing key now, or in an emergency replace all of them",
        "signing-keys",
        rotate_signing_keys,
        SigningKeyList,
        KeyRotationBody,
    ),
)
