"""JSON as strangers send it: no second reading of any byte of it."""

import json
from typing import Any


def parse_strict_json(raw: bytes) -> Any:
    """The value of UTF-8 JSON without duplicate members, NaN, infinities or lone surrogates. Raises `ValueError`.

    Each of these is read differently by different parsers, or cannot be stored or sent on (T14, I11).
    """
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\u" in raw:
        # Only an escape can make a lone surrogate, and encoding finds it.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


# Made once: `json.loads` with hooks would make one for every document.
_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
