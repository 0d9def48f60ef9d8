"""The `Authorization` request header and the `WWW-Authenticate` challenge.

Spec: RFC 6750; RFC 9449 §7.1; RFC 9728 §5.1
"""

import re
from collections.abc import Collection, Iterable

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
    found = parse_access_token(values, schemes=("bearer",))
    return found[1] if found else None


def parse_access_token(values: Iterable[str], *, schemes: Collection[str]) -> tuple[str, str] | None:
    """(scheme in lower case, token) of a request with credentials of one of `schemes`, or None.

    Raises `invalid_request` as `parse_bearer` does. Spec: RFC 9449 §7.1
    """
    credentials = parse_authorization(values)
    if credentials is None or credentials[0] not in schemes:
        return None
    if len(credentials[1]) > MAX_TOKEN_LENGTH or not _TOKEN68.fullmatch(credentials[1]):
        raise invalid_request("The access token is malformed.")
    return credentials


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
    present = _format_parameters(
        error=error,
        error_description=printable(description) if description else None,
        resource_metadata=resource_metadata,
        scope=_format_asked(scope),
    )
    return f"Bearer {present or _format_parameters(realm=realm or 'OAuth')}"


def build_dpop_challenge(
    *,
    algs: Iterable[str],
    resource_metadata: str | None = None,
    scope: Iterable[str] = (),
    error: str | None = None,
    description: str | None = None,
) -> str:
    """One `DPoP` challenge, to stand in the header field of the Bearer challenge and after it.

    In front of it, or in a field of its own, it keeps clients in daily use from finding the Bearer challenge
    (clients.md no. 54).

    Spec: RFC 9449 §7.1; RFC 9728 §5.1 (DPOP-06)
    """
    return "DPoP " + _format_parameters(
        error=error,
        error_description=printable(description) if description else None,
        algs=" ".join(algs),
        resource_metadata=resource_metadata,
        scope=_format_asked(scope),
    )


def _format_asked(scope: Iterable[str]) -> str:
    return format_scope(token for token in scope if token != OFFLINE_ACCESS)


def _format_parameters(**parameters: str | None) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
