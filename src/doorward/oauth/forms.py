"""Parsing of form bodies, query strings and JSON objects, before anything else looks at a request."""

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl

from .errors import INVALID_CLIENT_METADATA, OAuthError, invalid_request
from .strict_json import parse_strict_json

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FIELDS = 100
MAX_JSON_DEPTH = 32


class Form(Mapping[str, str]):
    """Parameters of one request: empty ones are absent, the names of repeated ones are set apart.

    `resource` and `audience` may repeat: their values are in `resources` and `audiences`, in order, without duplicates.
    So may what the caller named: `lists` has those.

    Spec: OAuth 2.1 §3.1, §3.2 (AUTHZ-02, TOK-02); RFC 8707 §2; RFC 8693 §2.1
    """

    __slots__ = ("_values", "audiences", "lists", "repeated", "resources")

    def __init__(
        self,
        values: dict[str, str],
        resources: tuple[str, ...] = (),
        repeated: frozenset[str] = frozenset(),
        audiences: tuple[str, ...] = (),
        lists: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._values = values
        self.resources = resources
        self.repeated = repeated
        self.audiences = audiences
        self.lists = lists or {}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def require(self, name: str) -> str:
        """The parameter, or `invalid_request` naming it."""
        value = self._values.get(name)
        if value is None:
            raise invalid_request(f"The parameter {name} is required.")
        return value


def parse_form(body: bytes, content_type: str, *, lists: Iterable[str] = (), max_fields: int = MAX_FIELDS) -> Form:
    """Parse a form body. Raises `invalid_request` for another media type, bad UTF-8 or a repeated parameter.

    Those named in `lists` may repeat.

    Spec: OAuth 2.1 §3.2.2 (TOK-01, TOK-02)
    """
    check_form_type(content_type)
    form = parse_query(body, lists=lists, max_fields=max_fields)
    if form.repeated:
        raise invalid_request("A parameter is repeated.")
    return form


def check_form_type(content_type: str) -> None:
    """Refuse a body of another media type, for callers that read repeated parameters themselves."""
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise invalid_request(f"The body must be {FORM_TYPE}.")


def parse_query(query: bytes, *, lists: Iterable[str] = (), max_fields: int = MAX_FIELDS) -> Form:
    """Parse a query string or form body by the rules of `Form`, leaving repeats to the caller.

    Raises `invalid_request` for bad encoding, NUL characters and too many parameters.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=max_fields)
    except UnicodeDecodeError:
        raise invalid_request("Parameters must be percent-encoded UTF-8.") from None
    except ValueError:
        raise invalid_request(f"At most {max_fields} parameters are accepted.") from None
    values: dict[str, str] = {}
    several: dict[str, dict[str, None]] = {name: {} for name in ("resource", "audience", *lists)}
    repeated: set[str] = set()
    for name, value in pairs:
        if not value:
            continue
        if "\x00" in value or "\x00" in name:
            raise invalid_request("Parameters must not contain NUL characters.")
        if name in several:
            several[name][value] = None
        elif name in values:
            repeated.add(name)
        else:
            values[name] = value
    found = {name: tuple(given) for name, given in several.items()}
    return Form(values, found.pop("resource"), frozenset(repeated), found.pop("audience"), found)


def parse_json_object(body: bytes, content_type: str, *, code: str = INVALID_CLIENT_METADATA) -> dict[str, object]:
    """Parse a JSON object, refusing duplicate members, other top-level types and absurd nesting with `code`.

    Spec: RFC 7591 §3.1 (DCR-03)
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise OAuthError(code, "The body must be application/json.")
    try:
        value = parse_strict_json(body)
    except ValueError:
        raise OAuthError(code, "The body is not a valid JSON object.") from None
    if not isinstance(value, dict):
        raise OAuthError(code, "The body must be a JSON object.")
    if _depth(value) > MAX_JSON_DEPTH:
        raise OAuthError(code, "The JSON is nested too deeply.")
    return value


def _depth(value: object) -> int:
    """Nesting depth, walked without recursion so that hostile input cannot exhaust the stack."""
    deepest = 0
    stack: list[tuple[object, int]] = [(value, 1)]
    while stack:
        current, depth = stack.pop()
        deepest = max(deepest, depth)
        children = current.values() if isinstance(current, dict) else current if isinstance(current, list) else ()
        stack.extend((child, depth + 1) for child in children)
    return deepest
