"""Private keys that a program brings along, in the forms in which keys are kept.

Spec: RFC 7517; RFC 7518 §6; RFC 7523 §2.2
"""

from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from doorward.oauth.jwt import ALGORITHMS, InvalidToken, SigningKey, parse_embedded_key

_KEY_TYPES: dict[str, type[ECKey | OKPKey | RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


def load_signing_key(
    key: str | bytes | Mapping[str, Any], *, alg: str | None = None, kid: str | None = None
) -> SigningKey:
    """The key of a PEM text or of a private JWK, ready to sign.

    `alg` is needed for an RSA key that should sign PS256; else it follows from the key. `kid` is the name under which
    the public half was registered; without one it is the key's own, or its thumbprint. Raises `ValueError` with a
    message that repeats nothing of the key.

    Spec: RFC 7638 §3; RFC 8725 §3.2
    """
    loaded = _import_jwk(key) if isinstance(key, Mapping) else _import_pem(key)
    if not loaded.is_private:
        raise ValueError("The signing key has no private half.")
    named = dict(key) if isinstance(key, Mapping) else {}
    chosen = alg or named.get("alg") or _algorithm_of(loaded)
    if chosen not in ALGORITHMS or not _fits(loaded, str(chosen)):
        raise ValueError(f"The signing key does not fit its alg; usable are {', '.join(ALGORITHMS)}.")
    return SigningKey(str(kid or named.get("kid") or loaded.thumbprint()), str(chosen), loaded)


def _import_jwk(jwk: Mapping[str, Any]) -> Key:
    key_type = _KEY_TYPES.get(str(jwk.get("kty")))
    if key_type is None:
        raise ValueError("The signing key is not a JWK of kty EC, OKP or RSA.")
    try:
        return key_type.import_key(dict(jwk))
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("The signing key is not a valid JWK.") from None


def _import_pem(pem: str | bytes) -> Key:
    for key_type in _KEY_TYPES.values():
        try:
            return key_type.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError("The signing key is not a PEM key of a kind that can be used, or it is encrypted.")


def _algorithm_of(key: Key) -> str:
    return {"EC": "ES256", "OKP": "EdDSA"}.get(key.key_type, "RS256")


def _fits(key: Key, alg: str) -> bool:
    """Whether verifiers will take this key for `alg`: its curve or size is one that is in use."""
    try:
        parse_embedded_key({**key.as_dict(private=False), "alg": alg, "use": "sig"}, alg)
    except InvalidToken:
        return False
    return True
