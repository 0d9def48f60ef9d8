"""A program's signing key in a file that is its owner's alone.

Spec: CIMD-29, CLI-03, T17
"""

from pathlib import Path

from joserfc.jwk import OctKey

from doorward.oauth.jwt import SigningKey, generate_signing_key

from .errors import StoreUnavailable
from .keys import load_signing_key
from .store_folder import create_private, read_private


def resolve_signing_key(path: Path, *, alg: str | None = None) -> tuple[SigningKey, bool]:
    """The key in the file, and whether it was made just now; what is there is never overwritten.

    The file is PEM, 0600 from its first moment. Raises `StoreUnavailable`, and `ValueError` for a file without a key
    or an `alg` that the key is not for.
    """
    path = path.absolute()
    if found := _read(path, alg):
        return found, False
    key = generate_signing_key(alg or "ES256")
    assert not isinstance(key.key, OctKey)  # noqa: S101  # none of the algorithms has one
    try:
        create_private(path, key.key.as_pem(private=True))
    except FileExistsError:  # by somebody who was faster
        if found := _read(path, alg):
            return found, False
        raise StoreUnavailable(f"{path} cannot be read.") from None
    return key, True


def read_signing_key(path: Path) -> SigningKey:
    """The key in the file. Raises `StoreUnavailable` where there is none, and `ValueError` for anything else in it."""
    path = path.absolute()
    if found := _read(path, None):
        return found
    raise StoreUnavailable(f"There is no key in {path}. Bring the file back, or make one: doorward client cimd create.")


def _read(path: Path, alg: str | None) -> SigningKey | None:
    pem = read_private(path)
    if pem is None:
        return None
    try:
        return load_signing_key(pem, alg=alg)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
