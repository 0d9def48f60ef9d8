"""The `Authorization` request header and the `WWW-Authenticate` challenge. Spec: RFC 6750; RFC 9728 §5.1"""

import re
from collections.abc import Iterable

from .errors import invalid_request, printable
from .scopes import OFFLINE_ACCESS, format_scope

MAX_TOKEN_LENGTH = 8192
_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +(.*))?", re.DOTALL)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def parse_authorization(values: Iterable[str]) -> tuple[str, str] | None:
    """Split the one `Authorization` header into (scheme in lower case, credentials), or None when there is none.

    Raises `invalid_request` for two headers or one without credentials. Spec: RS-01, RS-16
    """
    headers = list(values)
    if not headers:
        return None
    if len(headers) > 1:
        raise invalid_request("Send one Authorization header.")
    match = _CREDENTIALS.fullmatch(headers[0].strip(" \t"))
    if match is None or not match.group(2):
        raise invalid_request("The Authorization header is malformed.")
    return match.group(1).lower(), match.group(2).strip(" \t")


def parse_bearer(values: Iterable[str]) -> str | None:
    """The bearer token of a request, or None when it carries no bearer credentials.

    Raises `invalid_request` for malformed credentials, before anything costly looks at them. Spec: RS-01, RS-16, T48
    """
    credentials = parse_authorization(values)
    if credentials is None or credentials[0] != "bearer":
        return None
    token = credentials[1]
    if len(token) > MAX_TOKEN_LENGTH or not _TOKEN68.fullmatch(token):
        raise invalid_request("The bearer token is malformed.")
    return token


def build_challenge(
    *,
    resource_metadata: str | None = None,
    scope: Iterable[str] = (),
    error: str | None = None,
    description: str | None = None,
    realm: str | None = None,
) -> str:
    """One `Bearer` challenge on one line, values quoted, `offline_access` never in it.

    `error` belongs in it only when a token was presented; the order and quoting are what every recorded client
    parses (clients.md no. 54).

    Spec: RFC 6750 §3; RFC 9728 §5.1 (WWW-01 … WWW-07)
    """
    parameters: list[tuple[str, str | None]] = [
        ("error", error),
        ("error_description", printable(description) if description else None),
        ("resource_metadata", resource_metadata),
        ("scope", format_scope(token for token in scope if token != OFFLINE_ACCESS)),
    ]
    present = [f'{name}="{value}"' for name, value in parameters if value]
    return "Bearer " + ", ".join(present or [f'realm="{realm or "OAuth"}"'])
