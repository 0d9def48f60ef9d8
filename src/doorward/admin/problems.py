"""Refusals of the admin API as problem details: a code for programs, words for people, a reference for both.

Spec: RFC 9457
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json

from doorward.asgi import NO_STORE, Request, Response
from doorward.oauth.errors import OAuthError

TYPE_PREFIX = "https://doorward.dev/problems/"
MEDIA_TYPE = "application/problem+json"
MALFORMED = "malformed_request"
UNAUTHENTICATED = "unauthenticated"
FORBIDDEN = "forbidden"
NOT_FOUND = "not_found"
METHOD_NOT_ALLOWED = "method_not_allowed"
TIMEOUT = "request_timeout"
CONFLICT = "conflict"
UNFINISHED = "idempotency_unfinished"
TOO_LARGE = "body_too_large"
MEDIA_TYPE_UNKNOWN = "unsupported_media_type"
INVALID = "invalid_request"
REFUSED = "refused"
KEY_REUSED = "idempotency_key_reused"
TOO_MANY = "too_many_requests"
FAILED = "server_error"
UNAVAILABLE = "unavailable"

PROBLEMS: Mapping[str, tuple[int, str]] = {
    MALFORMED: (400, "The request cannot be read"),
    UNAUTHENTICATED: (401, "A token of the admin API is needed"),
    FORBIDDEN: (403, "The token may not do this"),
    NOT_FOUND: (404, "There is no such thing in this project"),
    METHOD_NOT_ALLOWED: (405, "This address is not asked like this"),
    TIMEOUT: (408, "The request took too long to arrive"),
    CONFLICT: (409, "It is there, or so, already"),
    UNFINISHED: (409, "A request with this key was begun"),
    TOO_LARGE: (413, "The body is too large"),
    MEDIA_TYPE_UNKNOWN: (415, "The body is not JSON"),
    INVALID: (422, "The request says something that cannot be"),
    REFUSED: (422, "It cannot be done as asked"),
    KEY_REUSED: (422, "The key came with another request before"),
    TOO_MANY: (429, "Too many requests without a good token"),
    FAILED: (500, "Something failed here"),
    UNAVAILABLE: (503, "Not just now"),
}
"""Every code with its status and title."""
_BY_STATUS = {status: code for code, (status, _) in reversed(list(PROBLEMS.items()))}


class Problem(OAuthError):  # noqa: N818  # what RFC 9457 calls it
    """A refusal of the admin API. `errors` are (member, what is wrong with it), and never repeat what was sent."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code, detail, status=PROBLEMS[code][0], headers=headers)
        self.errors = tuple(errors)


def problem_response(error: OAuthError, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    """The refusal as RFC 9457 has it; what was raised elsewhere goes by its status."""
    code = error.code if isinstance(error, Problem) else _BY_STATUS.get(error.status, FAILED)
    status, title = PROBLEMS[code]
    members: dict[str, Any] = {
        "type": f"{TYPE_PREFIX}{code}",
        "title": title,
        "status": status,
        "detail": error.description,
        "code": code,
        "reference": request.reference,
    }
    if isinstance(error, Problem) and error.errors:
        members["errors"] = [{"member": member, "message": message} for member, message in error.errors]
    told = [("content-type", MEDIA_TYPE), ("x-content-type-options", "nosniff"), *NO_STORE]
    return Response(status, to_json(members), [*told, *{**error.headers, **(headers or {})}.items()])


def reason_of(status: int) -> str:
    """What HTTP calls a status."""
    return HTTPStatus(status).phrase
