"""The arguments of a tool as people write them: `city=Lisbon days=3`, or JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

_OPENING = {"patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref"}
"""What may bring further arguments in."""


def read_arguments(text: str) -> dict[str, Any]:
    """The arguments of a JSON object, of `@FILE` that holds one, or of `@-`, standard input. Raises `ValueError`."""
    if text.startswith("@"):
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ValueError(f"{text[1:]} cannot be read: {reason}") from None
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the arguments are no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are no JSON object")
    return arguments


def split_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """The names and texts of `name=value`. Raises `ValueError`."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"{pair} is no argument: write NAME=VALUE")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = value
    return found


def type_arguments(texts: Mapping[str, str], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The texts as what the tool's schema says they are; where it does not say, JSON where they are JSON.

    Raises `ValueError`.
    """
    properties = schema.get("properties") if schema else None
    known = properties if isinstance(properties, dict) else {}
    return {name: _type_value(name, text, _types(known.get(name))) for name, text in texts.items()}


def check_arguments(tool: str, names: AbstractSet[str], schema: Mapping[str, Any]) -> None:
    """Accept the names that a tool takes, all that it needs among them. Raises `ValueError` that tells what it takes.

    What the schema leaves open is the server's to judge.
    """
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    missing = [name for name in required if name not in names] if isinstance(required, list) else []
    is_open = not known or schema.get("additionalProperties", False) is not False or bool(_OPENING & schema.keys())
    unknown = [] if is_open else sorted(names - known.keys())
    if not missing and not unknown:
        return
    faults = [f"it needs {', '.join(map(str, missing))}"] if missing else []
    faults += [f"it knows no {', '.join(unknown)}"] if unknown else []
    takes = ", ".join(f"{name} ({kind})" for name, kind in describe_arguments(schema).items())
    raise ValueError(f"{tool}: {' and '.join(faults)}." + (f" It takes: {takes}." if takes else ""))


def describe_arguments(schema: Mapping[str, Any]) -> dict[str, str]:
    """In words what each argument is, by its name."""
    properties, required = schema.get("properties"), schema.get("required")
    needed = required if isinstance(required, list) else []
    found: dict[str, str] = {}
    for name, member in (properties if isinstance(properties, dict) else {}).items():
        kind = " or ".join(sorted(_types(member))) or "anything"
        found[name] = f"{kind}{'' if name in needed else ', may be left out'}"
    return found


def _type_value(name: str, text: str, types: set[str]) -> Any:
    if "string" in types:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if not types:
            return text
        wanted = " or ".join(sorted(types - {"null"}))
        example = ', in JSON: ["one", "two"]' if "array" in types else ""
        raise ValueError(f"{name} has to be of type {wanted}{example}") from None


def _types(schema: Any) -> set[str]:
    """The JSON types that a schema allows at its top; empty where it does not say."""
    if not isinstance(schema, dict):
        return set()
    named = schema.get("type")
    found = (
        {named}
        if isinstance(named, str)
        else {item for item in named if isinstance(item, str)}
        if isinstance(named, list)
        else set()
    )
    for several in ("anyOf", "oneOf"):
        options = schema.get(several)
        for option in options if isinstance(options, list) else ():
            found |= _types(option)
    if isinstance(schema.get("enum"), list):
        found |= {"string" for item in schema["enum"] if isinstance(item, str)}
    return found
