"""Arguments of tools as people write them."""

import re
from pathlib import Path
from typing import Any

import pytest

from doorward.cli.client.arguments import check_arguments, read_arguments, split_pairs, type_arguments

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "exact": {"type": "boolean"},
        "symbols": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object"},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "colour": {"enum": ["red", "7"]},
        "anything": {},
    },
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("city=Lisbon", "Lisbon"),
        ("city=7", "7"),
        ("city=", ""),
        ("city=a=b", "a=b"),
        ("days=7", 7),
        ("exact=true", True),
        ('symbols=["A", "B"]', ["A", "B"]),
        ('place={"at": 1}', {"at": 1}),
        ("limit=3", 3),
        ("limit=null", None),
        ("label=null", "null"),
        ("either=7", "7"),
        ("colour=7", "7"),
        ("anything=7", 7),
        ("anything=word", "word"),
        ("unheard_of=[1]", [1]),
        ("unheard_of=two words", "two words"),
    ],
)
def test_a_value_is_what_the_schema_says_it_is(pair: str, value: Any) -> None:
    texts = split_pairs([pair])
    assert list(type_arguments(texts, SCHEMA).values()) == [value]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("days=seven", "days has to be of type integer"),
        ("limit=few", "limit has to be of type integer"),
        ("symbols=ACME", 'symbols has to be of type array, in JSON: ["one", "two"]'),
    ],
)
def test_a_value_of_another_type_is_named_with_the_type(pair: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # its whole text is below
        type_arguments(split_pairs([pair]), SCHEMA)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    "schema", [None, {}, {"properties": []}, {"properties": {"n": "x"}}, {"properties": {"n": {"type": 5}}}]
)
def test_where_no_schema_says_anything_json_is_json(schema: Any) -> None:
    assert type_arguments({"n": "5", "m": "five"}, schema) == {"n": 5, "m": "five"}


@pytest.mark.parametrize("pairs", [["city"], ["=x"], [""], ["a=1", "a=2"]])
def test_what_is_no_pair_is_refused(pairs: list[str]) -> None:
    with pytest.raises(ValueError, match=r"NAME=VALUE|given twice"):
        split_pairs(pairs)


def test_json_is_read_from_the_line_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "arguments.json"
    file.write_text('{"city": "Málaga"}', encoding="utf-8")
    assert read_arguments('{"a": [1]}') == {"a": [1]}
    assert read_arguments(f"@{file}") == {"city": "Málaga"}


@pytest.mark.parametrize("text", ["", "x", "[1]", "null", "@/does/not/exist", "[" * 100_000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON|cannot be read"):
        read_arguments(text)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (set(), "look: it needs city. It takes: city (string), days (integer, may be left out)."),
        ({"city", "day"}, "look: it knows no day. It takes: "),
        ({"days", "towns"}, "look: it needs city and it knows no towns. It takes: "),
    ],
)
def test_a_tool_is_not_called_without_what_it_needs_or_with_what_it_does_not_know(names: set[str], said: str) -> None:
    schema = {"properties": {name: SCHEMA["properties"][name] for name in ("city", "days")}, "required": ["city"]}
    with pytest.raises(ValueError, match=re.escape(said)):
        check_arguments("look", names, schema)
    check_arguments("look", {"city", "days"}, schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": "?", "required": "?"},
        {"properties": {"a": {}}, "additionalProperties": True},
        {"properties": {"a": {}}, "additionalProperties": {"type": "string"}},
        {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]},
    ],
)
def test_what_a_schema_leaves_open_is_for_the_server_to_judge(schema: dict[str, Any]) -> None:
    check_arguments("look", {"b"}, schema)
