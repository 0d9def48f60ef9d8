"""Style sheet, script and icon, read once. Their names carry a hash of their content, so they may be kept for ever."""

from dataclasses import replace
from functools import cache

from doorward.asgi import Response

from .pages import STATIC

PREFIX = "/static/"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_HASHED = frozenset({".css", ".js"})


def answer_static(path: str) -> Response | None:
    """The file at `path`, or None; only what was shipped can be asked for."""
    file = _files().get(path.removeprefix(PREFIX))
    # Each answer is its own: headers are added to it on its way out.
    return replace(file, headers=list(file.headers)) if file is not None else None


@cache
def _files() -> dict[str, Response]:
    return {
        file.name: Response(
            200,
            file.read_bytes(),
            [
                ("content-type", _TYPES[file.suffix]),
                ("cache-control", "public, max-age=31536000, immutable" if file.suffix in _HASHED else "max-age=86400"),
                ("x-content-type-options", "nosniff"),
                ("cross-origin-resource-policy", "same-origin"),
            ],
        )
        for file in STATIC.iterdir()
        if file.suffix in _TYPES
    }
