"""Asking the admin API, with every answer held against the schema that is published for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its types are a package of their own

from doorward.admin.openapi import build_openapi
from doorward.admin.operations import OPERATIONS
from doorward.admin.table import PREFIX, Operation
from doorward.core.admin_access import TokenRole
from doorward.core.models import Project
from doorward.manage import admin_tokens
from tests.inside import Answer, Door

BY_NAME = {operation.name: operation for operation in OPERATIONS}


@dataclass(frozen=True)
class Api:
    """A program with a token, at the address of a project."""

    door: Door
    secret: str
    prefix: str = ""
    named: dict[str, str] = field(default_factory=dict)
    """What path parameters stand for when a call does not say."""

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}

    def address(self, operation: Operation, named: Mapping[str, str], query: Mapping[str, Any]) -> str:
        """The path as a server hands it on, decoded."""
        path = operation.path
        for name in operation.parameters:
            path = path.replace(f"{{{name}}}", named.get(name, self.named.get(name, f"no_{name}")))
        return f"{self.prefix}{PREFIX}{path}{'?' + urlencode(query) if query else ''}"

    async def ask(
        self,
        name: str,
        body: Any = None,
        *,
        named: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One operation; its answer is as published, whatever it is."""
        operation = BY_NAME[name]
        sent = {**self.bearer, **({} if body is None else {"content-type": "application/json"}), **(headers or {})}
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        path = self.address(operation, named or {}, query or {})
        answer = await self.door.call(operation.method, path, raw, sent)
        assert_published(operation, answer)
        return answer


async def make_api(
    door: Door, role: TokenRole = "owner", *scopes: str, project: Project | None = None, **named: str
) -> Api:
    """A program with a fresh token of a project."""
    of = project or door.project
    _, secret = await admin_tokens.create(door.operator, of, "test", role, scopes=scopes)
    return Api(door, secret, of.path, named)


def assert_published(operation: Operation, answer: Answer) -> None:
    """The status is one of the operation's, and the answer is what its schema says."""
    described = build_openapi()["paths"][f"{PREFIX}{operation.path}"][operation.method.lower()]
    status = str(answer.status)
    assert status in described["responses"], (operation.name, answer.status, answer.body)
    assert answer.header("cache-control") == "no-store"
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers
    response = described["responses"][status]
    if "$ref" in response:
        response = build_openapi()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    if "content" not in response:
        assert answer.body == b""
        return
    (media,) = response["content"]
    assert answer.header("content-type") == media
    schema = response["content"][media]["schema"]["$ref"]
    errors = [error.message for error in _validator(schema).iter_errors(answer.json())]
    assert errors == [], (operation.name, answer.status, answer.body)


@cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference, "components": build_openapi()["components"]})


def encoded(value: str) -> str:
    """A path parameter as a client writes it."""
    return quote(value, safe="")
