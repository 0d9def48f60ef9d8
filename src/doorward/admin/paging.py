"""Pages of a list that stay right while things come and go: a cursor names the last thing seen, not a place."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from doorward.oauth.strict_json import parse_strict_json

from .problems import INVALID, Problem
from .shapes import Paging

T = TypeVar("T")
Key = tuple[int | str, ...]


def page_of(items: Iterable[T], paging: Paging, key: Callable[[T], Key]) -> tuple[list[T], str | None]:
    """(the part that is asked for, in the order of `key`; the cursor of the next, or None at the end).

    Raises `Problem` for a cursor that no such list gave.
    """
    ordered = sorted(items, key=key)
    if paging.cursor:
        after = parse_cursor(paging.cursor)
        try:
            ordered = [item for item in ordered if key(item) > after]
        except TypeError:
            raise _bad_cursor() from None
    return cut(ordered, paging, key)


def cut(items: Sequence[T], paging: Paging, key: Callable[[T], Key]) -> tuple[list[T], str | None]:
    """The first of `items`, with a cursor where there are more of them than were asked for."""
    chosen = list(items[: paging.limit])
    return chosen, build_cursor(key(chosen[-1])) if len(items) > len(chosen) else None


def build_cursor(key: Key) -> str:
    """A cursor for what comes after the thing with this key."""
    return urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).rstrip(b"=").decode()


def parse_cursor(cursor: str) -> Key:
    """The key in a cursor. Raises `Problem`."""
    try:
        key: Any = parse_strict_json(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise _bad_cursor() from None
    if not isinstance(key, list) or not key or not all(type(part) in (int, str) for part in key):
        raise _bad_cursor()
    return tuple(key)


def parse_time_cursor(cursor: str) -> tuple[int, str] | None:
    """A cursor made of a time and an id; None for none. Raises `Problem`."""
    if not cursor:
        return None
    key = parse_cursor(cursor)
    match key:
        case (int() as at, str() as name) if 0 <= at < 2**62:
            return at, name
    raise _bad_cursor()


def _bad_cursor() -> Problem:
    message = "This is not a cursor of this list."
    return Problem(INVALID, message, errors=[("cursor", message)])
