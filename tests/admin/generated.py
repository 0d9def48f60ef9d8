"""Values out of a published schema: good ones, nearly good ones, and anything else."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from doorward.admin.openapi import build_openapi

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
WORDS = (
    "tools:read",
    "https://api.example.com/mcp",
    "http://127.0.0.1/callback",
    "https://idp.example.com",
    "ES256",
    "EdDSA",
    "client_credentials",
    "claude",
    "10/minute per user",
    "read",
    "clients:write",
    "ada@example.com",
    "a harbour at the end of time",
    "loopback",
)
"""What gets past the first check somewhere."""


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema, of the keywords that the document uses."""
    if "$ref" in schema:
        return _resolve(schema["$ref"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema:
        return st.one_of([values(each) for each in schema["anyOf"]])
    return _TYPES[schema["type"]](schema) if "type" in schema else ANYTHING


def nearly(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """An object of a schema with a member that is missing, unknown or something else."""
    return st.builds(_spoil, values(schema), st.text(max_size=10), ANYTHING, st.randoms(use_true_random=False))


@cache
def _resolve(reference: str) -> st.SearchStrategy[Any]:
    return values(build_openapi()["components"]["schemas"][reference.rpartition("/")[2]])


def _spoil(value: Any, name: str, other: Any, random: Any) -> Any:
    if not isinstance(value, dict):
        return other
    chosen = random.choice([name, *value])
    return {**value, chosen: other}


def _string(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), min(schema.get("maxLength", 40), 40)
    characters = st.characters(exclude_categories=["Cs", "Cc"] if "pattern" in schema else ["Cs"])
    return st.sampled_from([word for word in WORDS if low <= len(word) <= high] or ["x" * low]) | st.text(
        characters, min_size=low, max_size=high
    )


def _integer(schema: Mapping[str, Any]) -> st.SearchStrategy[int]:
    low, high = schema.get("minimum"), schema.get("maximum")
    return st.sampled_from([low or 0, high or 3600, 900]) | st.integers(low, high)


def _array(schema: Mapping[str, Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values(schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=3)


def _object(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        return st.dictionaries(st.text(max_size=8), ANYTHING, max_size=3)
    needed = set(schema.get("required", ()))
    members = {name: values(each) for name, each in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: members[name] for name in members if name in needed},
        optional={name: members[name] for name in members if name not in needed},
    )


_TYPES: dict[str, Any] = {
    "string": _string,
    "integer": _integer,
    "array": _array,
    "object": _object,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
    "number": lambda _: st.floats(allow_nan=False, allow_infinity=False),
}
