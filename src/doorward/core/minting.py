"""What an operator's backend may ask for on behalf of its own users, and whom it may call what.

Spec: product.md, "mint for your own users"; RFC 9700 §4.15 (REG-07, TX-10)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.oauth.client_documents import is_document_url
from doorward.oauth.errors import OAuthError, invalid_request
from doorward.oauth.scopes import MAX_SCOPES, Scopes, parse_scope

from . import secrets
from .trust import WORKLOAD_SUBJECT

MAX_ID_LENGTH = 2048
_SUBJECT = re.compile(r"[\x21-\x7E]{1,255}")
"""What fits every `sub` and every log line: visible ASCII, as OpenID Connect has it."""
_OUR_IDS = ("usr", "mcl", "mcx", "prj", "rsc", "grt", "key", "exr", "tru", "ref")
_OUR_SECRETS = (
    *(secrets.ACCESS_TOKEN, secrets.CODE, secrets.REFRESH_TOKEN, secrets.CLIENT_SECRET, secrets.PROJECT_KEY),
    *(secrets.SESSION, secrets.FLOW, secrets.SETUP, secrets.INITIAL_ACCESS_TOKEN, secrets.REGISTRATION_TOKEN),
    *(secrets.PUSHED_REQUEST, secrets.DEVICE_CODE),
)
_OUR_PREFIXES = (WORKLOAD_SUBJECT, *(f"{prefix}_" for prefix in (*_OUR_IDS, *_OUR_SECRETS)))


@dataclass(frozen=True, slots=True)
class MintRequest:
    """Tokens that a backend asks for, for somebody it has authenticated itself."""

    client_id: str
    subject: str
    scopes: Scopes
    resource: str | None = None
    may_act: dict[str, str] | None = None


def parse_mint(members: Mapping[str, Any]) -> MintRequest:
    """Read a request. Raises `invalid_request` and `invalid_scope`, saying which member is at fault.

    A member that is not known is ignored; one that is known is of its type, or null where it may be absent.
    """
    subject = _text(members, "subject")
    if subject is None or not _SUBJECT.fullmatch(subject):
        raise invalid_request("subject must be 1 to 255 visible ASCII characters without spaces.")
    client_id = _text(members, "client_id")
    if client_id is None:
        raise invalid_request("client_id is required.")
    return MintRequest(
        client_id=client_id,
        subject=subject,
        scopes=_parse_scopes(members.get("scopes")),
        resource=_text(members, "resource"),
        may_act=_parse_may_act(members.get("may_act")),
    )


def is_ours(subject: str) -> bool:
    """Whether a name looks like one that we give: nobody may be called like a client, a workload, or somebody else.

    Letter case makes no other name, for whoever reads it in a log. Spec: REG-07
    """
    return subject.lower().startswith(_OUR_PREFIXES) or is_document_url(subject)


def _parse_scopes(value: Any) -> Scopes:
    if not isinstance(value, list) or len(value) > MAX_SCOPES or not all(isinstance(scope, str) for scope in value):
        raise invalid_request(f"scopes must be an array of at most {MAX_SCOPES} strings.")
    return parse_scope(" ".join(value))


def _parse_may_act(value: Any) -> dict[str, str] | None:
    """Who alone may exchange the token later. Spec: RFC 8693 §4.4"""
    if value is None:
        return None
    try:
        actor = _text(value, "sub") if isinstance(value, dict) and value.keys() == {"sub"} else None
    except OAuthError:
        actor = None
    if actor is None:
        raise invalid_request('may_act must be {"sub": client_id}, naming the client that may exchange the token.')
    return {"sub": actor}


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH or "\x00" in value:
        raise invalid_request(f"{name} must be a string of 1 to {MAX_ID_LENGTH} characters.")
    return value
