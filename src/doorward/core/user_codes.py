"""User codes: what a person reads off one screen and types into another.

Twenty letters, none of which looks like another or a digit or makes a word with its neighbours: 8 of them are 34.5
bits. That is little enough to be typed and too little to be stored under a bare hash, which a reader of the database
could search through in seconds; so codes are stored under a keyed one.

Spec: RFC 8628 §5.1, §6.1 (DEV-04); security defaults, section E
"""

import hmac
import secrets
import unicodedata

from doorward.oauth.ids import ProjectId, TokenHash

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8
MAX_TYPED = 64


def new_user_code() -> str:
    """A fresh code, as it is compared: eight letters, no hyphen."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def format_user_code(code: str) -> str:
    """The code as people are shown it: `WDJB-MJHT`."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def parse_user_code(typed: str) -> str | None:
    """What somebody typed or pasted, as it is compared; None when it cannot be a code.

    Case, blanks, hyphens and whatever a telephone makes of them are forgiven.
    """
    letters = unicodedata.normalize("NFKC", typed[:MAX_TYPED]).upper()
    code = "".join(letter for letter in letters if letter.isalnum())
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


def hash_user_code(key: bytes, project_id: ProjectId, code: str) -> TokenHash:
    """The form in which a code is stored: nothing without the server's key."""
    return TokenHash(hmac.digest(key, f"user-code\x00{project_id}\x00{code}".encode(), "sha256"))
