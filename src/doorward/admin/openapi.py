"""The OpenAPI document, made of the table that routes.

Spec: OpenAPI 3.1.1; JSON Schema 2020-12
"""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from doorward.core.admin_access import AREAS, READ_ALL

from .operations import OPERATIONS
from .problems import MEDIA_TYPE, PROBLEMS, reason_of
from .shapes import Patch, ProblemDetails, Query
from .table import PREFIX, Operation

_REF = "#/components/schemas/{model}"
ALWAYS = (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503)
"""What any operation may be answered with."""
_DESCRIPTION = (
    "Operator actions, the same as those of `doorward admin` on the command line. The document is below the prefix of "
    "a project, and so are its addresses. A token is for one project. Times are milliseconds since 1970."
)


@cache
def build_openapi() -> dict[str, Any]:
    """The document. The same for every project and server of a release, so it is made once."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ProblemDetails, "serialization")]
    for operation in OPERATIONS:
        models += [(operation.body, "validation")] if operation.body else []
        models += [(operation.answer, "validation")] if operation.answer else []
    refs, schemas = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF)
    for model, _ in models:
        if issubclass(model, Patch):
            _drop_defaults(schemas["$defs"][model.__name__])
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"{PREFIX}{operation.path}", {})[operation.method.lower()] = _describe(operation, refs)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Doorward admin API", "version": "1", "description": _DESCRIPTION},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas["$defs"],
            "responses": _responses(),
            "securitySchemes": {
                "adminToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A token that `doorward admin token create` printed. Scopes: {READ_ALL}, "
                    f"or an area with :read or :write. Areas: {', '.join(AREAS)}.",
                }
            },
        },
        "security": [{"adminToken": []}],
    }


def _describe(operation: Operation, refs: Any) -> dict[str, Any]:
    scope = f"{operation.area}:{'write' if operation.writes else 'read'}"
    of = " Owners of the default project only, at its own address." if operation.of_server else ""
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Role {operation.role} or above; scope `{scope}`.{of}",
        "tags": [operation.area],
        "parameters": _parameters(operation),
        "responses": {str(operation.status): _success(operation, refs), **_refusals(operation)},
    }
    if operation.body:
        media = {"schema": refs[operation.body, "validation"]}
        kinds = ("application/json", "application/merge-patch+json") if operation.method == "PATCH" else None
        needed = any(field.is_required() for field in operation.body.model_fields.values())
        described["requestBody"] = {
            "required": needed or operation.method == "PATCH",
            "content": dict.fromkeys(kinds or ("application/json",), media),
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in operation.parameters
    ]
    if operation.query:
        found += _query(operation.query)
    if operation.once:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Makes the creation happen once, however often it is asked for within a day.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        )
    return found


def _query(query: type[Query]) -> list[dict[str, Any]]:
    properties = query.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


def _success(operation: Operation, refs: Any) -> dict[str, Any]:
    answered: dict[str, Any] = {"description": reason_of(operation.status)}
    if operation.answer:
        answered["content"] = {"application/json": {"schema": refs[operation.answer, "validation"]}}
    if operation.once:
        shown = {"description": "`true` where the answer is a repeated one.", "schema": {"const": "true"}}
        answered["headers"] = {"Idempotency-Replayed": shown}
    return answered


def _refusals(operation: Operation) -> dict[str, Any]:
    statuses = sorted({*ALWAYS, *([409] if operation.writes else [])})
    return {str(status): {"$ref": f"#/components/responses/refused{status}"} for status in statuses}


def _responses() -> dict[str, Any]:
    """Each refusal once, with the codes that it has."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model=ProblemDetails.__name__)}}}
    return {
        f"refused{status}": {
            "description": ", ".join(code for code, (known, _) in PROBLEMS.items() if known == status),
            "content": content,
        }
        for status in sorted({known for known, _ in PROBLEMS.values()})
    }


def _drop_defaults(schema: dict[str, Any]) -> None:
    """Of a patch: what is not given stays, so there is no default."""
    for member in schema["properties"].values():
        member.pop("default", None)
