"""A request to the admin API: whose token, what for, what it says, and the answer.

No cookie is ever looked at, so no page can make a browser ask; no other origin is let in either.

Spec: RFC 6750; RFC 9457; T16, T18, T44
"""

import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from doorward.asgi import Request, Response, json_response
from doorward.core import audit
from doorward.core.admin_access import AdminToken
from doorward.core.limits import ADMIN_SOURCE
from doorward.core.models import DEFAULT_SLUG
from doorward.core.secrets import hash_secret
from doorward.manage import admin_tokens
from doorward.manage.idempotency import KeyReused, KeyTaken, KeyUnfinished, OnceDatabase
from doorward.manage.operator import ActionRefused, Conflict, NotFound, Operator
from doorward.oauth.bearer import build_challenge, parse_bearer
from doorward.oauth.errors import OAuthError
from doorward.oauth.forms import parse_json_object
from doorward.oauth.ids import TokenHash
from doorward.server.context import Context
from doorward.server.limiter import source_of, spend_limit
from doorward.server.tenancy import ProjectView

from .openapi import build_openapi
from .operations import OPERATIONS
from .problems import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    KEY_REUSED,
    MALFORMED,
    MEDIA_TYPE_UNKNOWN,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REFUSED,
    UNAUTHENTICATED,
    UNFINISHED,
    Problem,
)
from .shapes import SHOWN_ONCE, Body, Query
from .table import PREFIX, Call, Operation, find_operation

OPENAPI_PATH = f"{PREFIX}/openapi.json"
BODY_LIMIT = 1024 * 1024
MAX_PARAMETERS = 20
_REPLAYED = ("idempotency-replayed", "true")


async def answer_openapi(_: Context, __: ProjectView, ___: Request) -> Response:
    """The description of the API: the same on every server of a release, so it needs no token."""
    return json_response(build_openapi(), headers=[("cache-control", "public, max-age=300")])


async def answer_admin(context: Context, view: ProjectView, request: Request) -> Response:
    """Do what is asked, once it is known that the token may. Raises `Problem`."""
    token = await _authenticate(context, view, request)
    operation, named = _find(request)
    _check_reach(operation, token, view)
    said = _parse_query(operation, request)
    body = await _read_body(operation, request) if request.method not in ("GET", "HEAD") else b""
    if operation.body:
        said.append(_parse_body(operation.body, body, request))
    elif body:
        _refuse_body(body, request)
    once = _claim(context, view, request, operation, token, body)
    if once is None:
        return await _act(context, view, operation, token, named, said)
    return await _act_once(once, context, view, operation, token, named, said)


async def _authenticate(context: Context, view: ProjectView, request: Request) -> AdminToken:
    """The token of the request, which is good for the project of the address.

    Only requests without a good token are counted, so that nobody else at an address keeps an operator out.
    """
    secret = parse_bearer(request.headers("authorization"))
    if secret is not None:
        token = await admin_tokens.authenticate(context.database, view.project, secret, request.now)
        if token is not None:
            return token
    await spend_limit(context, view.project.project_id, ADMIN_SOURCE, source_of(context, request), request.now)
    error = None if secret is None else "invalid_token"
    challenge = build_challenge(error=error, realm="Doorward admin API")
    words = "Send a token of the admin API of this project as Authorization: Bearer."
    raise Problem(UNAUTHENTICATED, words, headers={"www-authenticate": challenge})


def _find(request: Request) -> tuple[Operation, dict[str, str]]:
    path, method = request.path.removeprefix(PREFIX), request.method
    if not path.isprintable():
        raise Problem(NOT_FOUND, "There is nothing at this address.")
    operation, found = find_operation(OPERATIONS, "GET" if method == "HEAD" else method, path)
    if operation is not None and isinstance(found, dict):
        return operation, found
    if not found:
        raise Problem(NOT_FOUND, "There is nothing at this address.")
    allow = ", ".join([*found, *(["HEAD"] if "GET" in found else [])])
    raise Problem(METHOD_NOT_ALLOWED, f"This address is asked with {allow}.", headers={"allow": allow})


def _check_reach(operation: Operation, token: AdminToken, view: ProjectView) -> None:
    """Whether the token may do this at all, before anything is looked up: a refusal tells nothing of what is there."""
    if operation.of_server and view.project.slug != DEFAULT_SLUG:
        raise Problem(NOT_FOUND, "Projects are listed and made at the address of the default one.")
    if not token.is_at_least(operation.role):
        raise Problem(FORBIDDEN, f"This needs a token with the role {operation.role}.")
    if not token.reaches(operation.area, write=operation.writes):
        scope = f"{operation.area}:{'write' if operation.writes else 'read'}"
        challenge = build_challenge(error="insufficient_scope", scope=(scope,))
        words = f"This needs a token with the scope {scope}."
        raise Problem(FORBIDDEN, words, headers={"www-authenticate": challenge})


def _parse_query(operation: Operation, request: Request) -> list[Body | Query]:
    try:
        text = request.query.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Problem(MALFORMED, "The query cannot be read.") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Problem(MALFORMED, "A parameter is given twice.")
    if not all(value.isprintable() for value in given.values()):
        raise Problem(MALFORMED, "A parameter holds what cannot be printed.")
    if operation.query is None:
        if given:
            raise Problem(INVALID, "This takes no parameters.", errors=[(name, "Not known here.") for name in given])
        return []
    try:
        return [operation.query.model_validate_strings(given)]
    except ValidationError as error:
        raise _invalid(error) from None


async def _read_body(operation: Operation, request: Request) -> bytes:
    return b"" if operation.method == "DELETE" else await request.body()


def _parse_body(model: type[Body], body: bytes, request: Request) -> Body:
    """What the body says. Nothing at all is an empty object, where nothing has to be said."""
    kinds = ("application/json", "application/merge-patch+json") if request.method == "PATCH" else ("application/json",)
    if not body and request.method == "POST":
        body = b"{}"
    elif request.header("content-type").partition(";")[0].strip().lower() not in kinds:
        raise Problem(MEDIA_TYPE_UNKNOWN, f"Send {kinds[0]}.")
    try:
        parse_json_object(body, "application/json", code=MALFORMED)
    except OAuthError as error:
        raise Problem(MALFORMED, error.description) from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None


def _refuse_body(body: bytes, request: Request) -> None:
    """Raise `Problem` for a body that says something to an operation which takes nothing."""
    _parse_body(Body, body, request)


def _invalid(error: ValidationError) -> Problem:
    """What is wrong with which member, without repeating what was sent."""
    found: list[tuple[str, str]] = []
    for each in error.errors(include_url=False, include_context=False, include_input=False)[:20]:
        unknown = each["type"] == "extra_forbidden"
        found.append((".".join(str(part) for part in each["loc"]), "Not known here." if unknown else each["msg"]))
    return Problem(INVALID, "; ".join(f"{member}: {message}" for member, message in found), errors=found)


def _claim(
    context: Context, view: ProjectView, request: Request, operation: Operation, token: AdminToken, body: bytes
) -> OnceDatabase | None:
    """What makes this happen once, where a key was sent for it; keys of two tokens are two keys."""
    keys = request.headers("idempotency-key")
    if not operation.once or not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= 255 or not keys[0].isascii() or not keys[0].isprintable():
        raise Problem(MALFORMED, "An Idempotency-Key is one header of 1 to 255 printable ASCII characters.")
    asked = f"{request.method} {request.path}\n".encode() + body
    return OnceDatabase(
        inner=context.database,
        project=view.project,
        key_hash=hash_secret(f"{token.token_id}\n{keys[0]}"),
        request_hash=TokenHash(hashlib.sha256(asked).digest()),
        now=request.now,
    )


async def _act_once(
    once: OnceDatabase,
    context: Context,
    view: ProjectView,
    operation: Operation,
    token: AdminToken,
    named: dict[str, str],
    said: list[Body | Query],
) -> Response:
    """The answer of the request that came first with the key. Raises `Problem`."""
    try:
        try:
            if (kept := await once.find_answer()) is not None:
                return _replay(kept, operation)
            return await _act(context, view, operation, token, named, said, once=once)
        except KeyTaken:  # by one that was asked at the same moment, and may have been answered by now
            if (kept := await once.find_answer()) is not None:
                return _replay(kept, operation)
            raise KeyUnfinished from None
    except KeyReused:
        raise Problem(KEY_REUSED, "Take a new Idempotency-Key for another request.") from None
    except KeyUnfinished:
        words = "A request with this key was begun, and its answer is not known. Look whether it was done."
        raise Problem(UNFINISHED, words) from None
    except Problem:
        await once.release()
        raise


def _replay(kept: str, operation: Operation) -> Response:
    response = json_response(json.loads(kept), status=operation.status)
    response.headers.append(_REPLAYED)
    return response


async def _act(
    context: Context,
    view: ProjectView,
    operation: Operation,
    token: AdminToken,
    named: dict[str, str],
    said: list[Body | Query],
    *,
    once: OnceDatabase | None = None,
) -> Response:
    actor = audit.admin_token_actor(token.token_id)
    operator = Operator(once or context.database, context.vault, context.clock, actor)
    call = Call(context, operator, view.project, token, named)
    try:
        answered = await operation.handler(call, *reversed(said))
    except NotFound as refused:
        raise Problem(NOT_FOUND, str(refused)) from None
    except Conflict as refused:
        raise Problem(CONFLICT, str(refused)) from None
    except ActionRefused as refused:
        errors = [(refused.about, str(refused))] if refused.about else []
        raise Problem(REFUSED, str(refused), errors=errors) from None
    finally:
        if operation.writes:
            context.tenancy.forget()
    if operation.answer is None:
        return Response(204, b"", [("cache-control", "no-store"), ("x-content-type-options", "nosniff")])
    if not isinstance(answered, operation.answer):
        raise TypeError(f"{operation.name} answered {type(answered).__name__}")
    members = answered.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if once is not None:
        await once.keep(to_json(_without_secrets(answered, members)).decode())
    return json_response(members, status=operation.status)


def _without_secrets(answered: BaseModel, members: dict[str, Any]) -> dict[str, Any]:
    """What a repeated answer says: a secret is shown once, and kept nowhere."""
    properties = type(answered).model_json_schema()["properties"]
    secrets = {name for name, schema in properties.items() if SHOWN_ONCE in schema}
    return {name: None if name in secrets else value for name, value in members.items()}
