"""What commands print: tables for people, JSON for machines."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_SHOWN_AT_MOST = 60
_UNWRAPPED = 10_000


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, limit: int | None = _SHOWN_AT_MOST
) -> None:
    """Many things: a table of `columns`, cut where they are longer than `limit`, or every member as JSON.

    Another program gets a line for each: nothing is wrapped where nobody reads.
    """
    if as_json:
        print(render_json(list(rows)))
        return
    if not rows:
        print("none")
        return
    from rich.console import Console  # slow to import
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        cells = [_cell(column, row.get(column), limit=limit) for column in columns]
        table.add_row(*(Text(cell.replace("\n", "�")) for cell in cells))  # a line end would begin a row of its own
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(highlight=False, width=_UNWRAPPED)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_one(members: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing: a line a member, or JSON."""
    if as_json:
        print(render_json(dict(members)))
        return
    width = max(len(name) for name in members)
    for name, value in members.items():
        print(f"{name.replace('_', ' '):<{width}}  {_cell(name, value, limit=None)}")


def render_json(value: Any) -> str:
    """`value` as JSON that can be shown: what JSON leaves as it is, and a terminal obeys, is escaped. Spec: T11"""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def printable(text: str) -> str:
    """`text` without what moves the cursor or hides words on a terminal: clients and servers name themselves."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def _cell(name: str, value: Any, *, limit: int | None = _SHOWN_AT_MOST) -> str:
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith(("_at", "_from", "at")):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(item["name"] if isinstance(item, dict) else str(item) for item in value)
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    text = printable(str(value))
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"
