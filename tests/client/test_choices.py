"""What a client asks for when several answers would do: scopes, and how a client with a document proves itself."""

import pytest

from doorward.client.authorization import choose_scope
from doorward.client.client_auth import build_client_authentication
from doorward.client.documents import ResourceMetadata, ServerMetadata
from doorward.client.registration import ClientIdentity, RegistrationWish, resolve_registration
from doorward.oauth.jwt import generate_signing_key
from doorward.oauth.scopes import Scopes

ISSUER = "https://auth.example"
RESOURCE = "https://mcp.example/mcp"
DOCUMENT = "https://app.example/client.json"


@pytest.mark.parametrize(
    ("wanted", "challenged", "listed", "chosen"),
    [
        (None, ("call",), ("read", "write"), ("call",)),
        (None, ("not:listed",), ("read",), ("not:listed",)),  # a challenge need not be of the list
        (None, (), ("read", "write"), ("read", "write")),
        (None, (), (), ()),
        (None, (), None, ()),
        (("own",), ("call",), ("read",), ("own",)),
        ((), ("call",), ("read",), ()),
    ],
)
def test_scopes_are_the_programs_or_the_challenges_or_the_lists_or_none_scp_01_scp_02(
    wanted: Scopes | None, challenged: Scopes, listed: Scopes | None, chosen: Scopes
) -> None:
    metadata = ResourceMetadata(RESOURCE, (ISSUER,), listed)
    server = ServerMetadata(ISSUER, scopes_supported=("admin",))
    assert choose_scope(wanted, challenged, metadata, server, refreshes=True) == chosen


@pytest.mark.parametrize(
    ("supported", "refreshes", "challenged", "asked"),
    [
        (("offline_access",), True, ("call",), ("call", "offline_access")),
        (("offline_access",), True, ("offline_access", "call"), ("offline_access", "call")),
        (("offline_access",), True, (), ()),  # what the server grants by default is more than that alone
        (("offline_access",), False, ("call",), ("call",)),
        (("call",), True, ("call",), ("call",)),
    ],
)
def test_offline_access_is_asked_for_where_it_is_listed_and_never_alone_scp_03(
    supported: Scopes, challenged: Scopes, asked: Scopes, *, refreshes: bool
) -> None:
    server = ServerMetadata(ISSUER, scopes_supported=supported)
    assert choose_scope(None, challenged, None, server, refreshes=refreshes) == asked


@pytest.mark.parametrize(
    ("supported", "has_key", "proves_itself"),
    [
        (("none", "private_key_jwt"), True, True),
        (None, True, True),
        (("none",), True, False),
        (("none", "private_key_jwt"), False, False),
        (("client_secret_basic",), False, False),
    ],
)
def test_a_client_with_a_document_and_a_key_signs_for_itself_cimd_29(
    supported: tuple[str, ...] | None, *, has_key: bool, proves_itself: bool
) -> None:
    server = ServerMetadata(
        ISSUER, token_endpoint_auth_methods_supported=supported, client_id_metadata_document_supported=True
    )
    identity = ClientIdentity(client_metadata_url=DOCUMENT, has_key=has_key)
    wish = RegistrationWish("http://127.0.0.1:4711/callback")
    with pytest.raises(StopIteration) as resolved:
        next(resolve_registration(identity, server, RESOURCE, wish))
    headers, fields = build_client_authentication(
        resolved.value.value,
        issuer=ISSUER,
        supported=supported,
        signing_key=generate_signing_key() if has_key else None,
        now=0.0,
    )
    assert (headers, fields["client_id"]) == ({}, DOCUMENT)
    assert ("client_assertion" in fields) == proves_itself
