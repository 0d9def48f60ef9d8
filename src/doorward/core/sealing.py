"""Sealed client ids: a public client's id carries its own metadata under a MAC of ours.

An open registration then stores nothing: a flood costs nothing, and neither a purge nor a lost database makes a
client unknown, which some clients never recover from. Nothing in it is secret; the MAC is what makes it ours.

The id is `mcx_` and base64url of: key number (1 byte), issue time in seconds (4), nonce (6), compressed metadata,
MAC (16). It is unreserved characters only and bounded; metadata that does not fit is stored instead.
"""

import hashlib
import hmac
import json
import os
import struct
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.oauth.ids import ClientId, ProjectId

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
PREFIX = "mcx_"
SECRET_PREFIX = "sealing/"
"""What the server's secrets that seal are named by, a number after it."""
MAX_LENGTH = 1024
_MAC_BYTES = 16
_HEAD = struct.Struct(">BI6s")
_MAX_METADATA_BYTES = 8192
# What registrations have in common, most frequent last: compression starts out knowing it. Part of the format.
_DICTIONARY = (
    b'"client_uri":"https://","software_version":"software_id":"scope":"offline_access tools:read '
    b'"contacts":[],"response_types":["code"],"application_type":"native","web"'
    b"cursor://anysphere.cursor-mcp/oauth/callback,https://vscode.dev/redirect,https://claude.ai/api/mcp/auth_callback"
    b'http://localhost:/oauth/callback,http://127.0.0.1:/callback,"client_name":"MCP '
    b'"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none",{"redirect_uris":["http'
)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What a sealed id says of its client."""

    metadata: dict[str, Any]
    issued_at: int


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals with the newest key, and unseals with any that is still known. `keys` are by number, 0 to 255."""

    keys: Mapping[int, bytes]

    def seal(self, project_id: ProjectId, metadata: dict[str, Any], *, now: int) -> ClientId | None:
        """An id for a client of the project, or None when its metadata is too large to carry. `now` in ms."""
        number = max(self.keys)
        text = _encode(metadata).encode()
        if len(text) > _MAX_METADATA_BYTES:
            return None  # it might pack small enough, but would not be unpacked
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_DICTIONARY)
        packed = compressor.compress(text) + compressor.flush()
        body = _HEAD.pack(number, now // 1000, os.urandom(6)) + packed
        sealed = PREFIX + urlsafe_b64encode(body + self._mac(number, project_id, body)).rstrip(b"=").decode()
        return ClientId(sealed) if len(sealed) <= MAX_LENGTH else None

    def unseal(self, project_id: ProjectId, client_id: str) -> Unsealed | None:
        """What the id carries, if it is ours, of this project, and of a key that was not rotated out."""
        raw = _decode(client_id)
        if raw is None or len(raw) <= _HEAD.size + _MAC_BYTES or raw[0] not in self.keys:
            return None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(self._mac(raw[0], project_id, body), mac):
            return None
        _, issued_at, _ = _HEAD.unpack_from(body)
        decompressor = zlib.decompressobj(-15, zdict=_DICTIONARY)
        text = decompressor.decompress(body[_HEAD.size :], _MAX_METADATA_BYTES)
        return Unsealed(json.loads(text), issued_at * 1000)

    def _mac(self, number: int, project_id: ProjectId, body: bytes) -> bytes:
        message = b"client" + project_id.encode() + b"\x00" + body
        return hmac.new(self.keys[number], message, hashlib.sha256).digest()[:_MAC_BYTES]


def is_sealed(client_id: str) -> bool:
    """Whether an id is of this kind, ours or not."""
    return client_id.startswith(PREFIX)


def _decode(client_id: str) -> bytes | None:
    if not is_sealed(client_id) or len(client_id) > MAX_LENGTH or not client_id.isascii():
        return None
    text = client_id.removeprefix(PREFIX)
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    # One spelling only: an id is compared as a string wherever it is stored.
    return raw if urlsafe_b64encode(raw).rstrip(b"=").decode() == text else None
