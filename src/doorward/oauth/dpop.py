"""DPoP: a request proves possession of a private key, so that a stolen token alone opens nothing.

A proof that holds may still be a replay: whoever accepts one claims its (`jkt`, `jti`) once, until `replay_until`.

Spec: RFC 9449 (DPOP-01 … DPOP-12)
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .jwt import (
    EMBEDDED_KEY_ALGORITHMS,
    InvalidToken,
    SigningKey,
    is_time,
    parse_embedded_key,
    read_unverified,
    sign_with_embedded_key,
    verify_signature,
)
from .redirects import AUTHORITY

PROOF_ALGORITHMS = EMBEDDED_KEY_ALGORITHMS
"""What to publish as `dpop_signing_alg_values_supported`: asymmetric, never `none`. Spec: DPOP-01"""
PROOF_TYPE = "dpop+jwt"
MAX_AGE_SECONDS = 60
FUTURE_LEEWAY_SECONDS = 10
NONCE_SECONDS = 300
MAX_JTI_LENGTH = 256
# A clock that is set back would otherwise make an old proof new again, just after it was forgotten.
_REPLAY_MARGIN_SECONDS = 60
_MAX_NONCE_LENGTH = 256
_MAX_URL_LENGTH = 4096
_ACCEPTED_TYPES = frozenset({PROOF_TYPE})
_HEADER_MEMBERS = frozenset({"alg", "typ", "jwk", "kid"})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_URL = re.compile(r"(https?)://([^/?#]+)([^?#]*)(?:[?#].*)?", re.IGNORECASE)
_URL_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


class InvalidProof(Exception):  # noqa: N818  # the RFC's word, and not a fault of ours
    """A proof that must not be accepted; the text says why, repeats no input, and may be told to the client."""


@dataclass(frozen=True, slots=True)
class DpopProof:
    """A proof whose every claim was checked, but for the nonce, which is the caller's own.

    `jkt` is the thumbprint of its key: what tokens are bound to. `ath` is the hash of the access token it was checked
    against, None where it was checked against none. Times are in epoch seconds. Spec: DPOP-02
    """

    jkt: str
    jti: str
    iat: int
    nonce: str | None
    alg: str
    ath: str | None = None

    def is_for(self, access_token: str) -> bool:
        """Whether this proof was checked against that very token, as it must be at a protected resource."""
        return self.ath is not None and hmac.compare_digest(self.ath, _hash_token(access_token))

    @property
    def replay_until(self) -> int:
        """Until when its `jti` must be remembered: longer than it could be accepted. Spec: DPOP-09"""
        return self.iat + MAX_AGE_SECONDS + _REPLAY_MARGIN_SECONDS


def verify_proof(
    headers: Sequence[str], *, method: str, url: str | tuple[str, ...], now: int, access_token: str | None = None
) -> DpopProof:
    """The proof in the request's `DPoP` headers, once everything of RFC 9449 §4.3 holds but nonce and replay.

    `headers` has one entry for each time the header was sent. `url` is the public URL of the request, from settings
    and never from a Host header; several are given where one thing is reached under several. Give `access_token` at a
    protected resource: then the proof must be for that token, and the caller compares `jkt` with what the token is
    bound to. Raises `InvalidProof`.

    Spec: RFC 9449 §4.2, §4.3 (DPOP-02, DPOP-09)
    """
    if len(headers) != 1:
        raise InvalidProof("Send one DPoP header.")
    try:
        token = headers[0].strip(" \t")
        header, _ = read_unverified(
            token, accepted_types=_ACCEPTED_TYPES, header_members=_HEADER_MEMBERS, algorithms=PROOF_ALGORITHMS
        )
        key = parse_embedded_key(header.get("jwk"), header["alg"])
        claims = verify_signature(token, key)
    except InvalidToken as refusal:
        raise InvalidProof(f"The DPoP header is not an acceptable proof: {refusal}.") from None
    _check_request(claims, method=method, urls=(url,) if isinstance(url, str) else url)
    ath = None if access_token is None else _check_token(claims.get("ath"), access_token)
    jti, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_LENGTH:
        raise InvalidProof("jti of the DPoP proof is missing or too long.")
    if nonce is not None and (not isinstance(nonce, str) or len(nonce) > _MAX_NONCE_LENGTH):
        raise InvalidProof("nonce of the DPoP proof is malformed.")
    iat = _check_time(claims.get("iat"), now)
    return DpopProof(jkt=key.kid, jti=jti, iat=iat, nonce=nonce, alg=key.alg, ath=ath)


def build_proof(
    key: SigningKey,
    *,
    method: str,
    url: str,
    now: int,
    jti: str,
    access_token: str | None = None,
    nonce: str | None = None,
) -> str:
    """The value of a `DPoP` header for one request; each request, and each retry of it, needs a `jti` of its own.

    Spec: RFC 9449 §4.2, §7 (DPOP-11)
    """
    claims: dict[str, Any] = {"jti": jti, "htm": method, "htu": re.split("[?#]", url, maxsplit=1)[0], "iat": now}
    if access_token is not None:
        claims["ath"] = _hash_token(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    return sign_with_embedded_key(PROOF_TYPE, claims, key)


def build_nonce(key: bytes, now: int) -> str:
    """The nonce of these five minutes: nobody without `key` can tell one ahead, and nothing is stored.

    Spec: RFC 9449 §8, §9 (DPOP-05)
    """
    return _nonce_of(key, now // NONCE_SECONDS)


def is_current_nonce(key: bytes, nonce: str | None, now: int) -> bool:
    """Whether `nonce` is of these five minutes or the five before. Spec: RFC 9449 §11.3 (DPOP-10)"""
    given = (nonce or "").encode("ascii", "replace")
    bucket = now // NONCE_SECONDS
    return any(hmac.compare_digest(given, _nonce_of(key, known).encode()) for known in (bucket, bucket - 1))


def is_thumbprint(value: object) -> bool:
    """Whether `value` is written as a SHA-256 thumbprint, as `dpop_jkt` and `cnf.jkt` must be. Spec: RFC 9449 §6.1"""
    return isinstance(value, str) and _THUMBPRINT.fullmatch(value) is not None


def _check_request(claims: Mapping[str, Any], *, method: str, urls: Iterable[str]) -> None:
    """Refuse a proof made for another request: it may have been carried off from there. Spec: DPOP-02"""
    if claims.get("htm") != method:
        raise InvalidProof("htm of the DPoP proof is not the method of this request.")
    made_for = _normalize_url(claims.get("htu"))
    if made_for is None or made_for not in map(_normalize_url, urls):
        raise InvalidProof("htu of the DPoP proof is not the URL of this request.")


def _check_token(ath: Any, access_token: str) -> str:
    """Refuse a proof that was not made for this very token. Spec: RFC 9449 §4.3 no. 12, §11.8"""
    expected = _hash_token(access_token)
    given = ath.encode("ascii", "replace") if isinstance(ath, str) else b""
    if not hmac.compare_digest(given, expected.encode()):
        raise InvalidProof("ath of the DPoP proof is not the hash of the access token.")
    return expected


def _check_time(iat: Any, now: int) -> int:
    """The time a proof was made, if that was just now: what is older may have lain somewhere. Spec: DPOP-09"""
    if not is_time(iat) or not now - MAX_AGE_SECONDS <= iat <= now + FUTURE_LEEWAY_SECONDS:
        raise InvalidProof("iat of the DPoP proof is not now; check the clock.")
    return int(iat)


def _normalize_url(url: Any) -> str | None:
    """The form in which two spellings of one request URL are equal, without query and fragment; None if it is none.

    Lower-case scheme and host, no default port, `/` for an empty path, escapes in their one form. Everything else is
    compared as written: neither dot segments nor a slash at the end are touched, since servers may tell them apart.

    Spec: RFC 3986 §6.2.2, §6.2.3; RFC 9449 §4.3 no. 9
    """
    if not isinstance(url, str) or len(url) > _MAX_URL_LENGTH or not _URL_CHARACTERS.fullmatch(url):
        return None
    match = _URL.fullmatch(url)
    if match is None or not AUTHORITY.fullmatch(match[2]):
        return None
    scheme = match[1].lower()
    host, port = _split_authority(match[2].lower())
    authority = host if port in {None, _DEFAULT_PORTS[scheme]} else f"{host}:{port}"
    return f"{scheme}://{authority}{_ESCAPE.sub(_normalize_escape, match[3]) or '/'}"


def _split_authority(authority: str) -> tuple[str, int | None]:
    host, separator, port = authority.rpartition(":")
    if not separator or "]" in port:
        return authority, None
    return host, int(port)


def _normalize_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if _UNRESERVED.fullmatch(character) else match[0].upper()


def _hash_token(access_token: str) -> str:
    return _encode(hashlib.sha256(access_token.encode("utf-8", "replace")).digest())


def _nonce_of(key: bytes, bucket: int) -> str:
    return _encode(hmac.digest(key, b"dpop-nonce:%d" % bucket, "sha256")[:16])


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
