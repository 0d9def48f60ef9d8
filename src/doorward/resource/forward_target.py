"""Where a request goes at the server behind the proxy: one path below one URL, or nowhere."""

import re
from urllib.parse import SplitResult, parse_qs, quote, unquote, unquote_plus, urljoin, urlsplit

from .asgi import Scope

SESSION_PARAMETER = "doorward-session"
"""The query parameter of a public URL that stands for a message URL which the server behind announced."""

_RAW_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+")
_QUERY = re.compile(r"[\x21-\x22\x24-\x7e]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN_PARAMETER = "access_token"


class Unmappable(ValueError):  # noqa: N818  # the request's doing
    """A path or query that two readers could understand differently, or that is not below what is protected.

    `status` is what to answer.
    """

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Addresses:
    """Maps the paths of one public resource to the URL of the server behind it, and that server's URLs back.

    The resource's own path, with or without a slash at its end, is exactly the URL that was given; what lies below it
    lies below that URL. Nothing else of the server behind can be named, whatever the spelling: dots, empty segments,
    escaped slashes, backslashes and escapes of escapes are refused and never tidied up, since that is where the two
    sides would begin to disagree. Raises `ValueError` for an upstream that cannot be one.

    Spec: RFC 3986 §6.2.2; T14, T46
    """

    def __init__(self, *, resource: str, upstream: str) -> None:
        self.upstream = _parse_upstream(upstream)
        public = urlsplit(resource)
        self._public_origin = f"{public.scheme}://{public.netloc}"
        self._public_path = public.path.rstrip("/")
        self._prefix = unquote(self._public_path)
        self._endpoints = {self._prefix, f"{self._prefix}/"}
        self.origin = f"{self.upstream.scheme}://{self.upstream.netloc}"
        self._base = self.upstream.path.rstrip("/")
        self._own = self.upstream.path or "/"
        self._query = self.upstream.query
        self._withheld = frozenset(
            {_TOKEN_PARAMETER, *(name for pair in self._query.split("&") for name in _names(pair) if name)}
        )

    @property
    def audience(self) -> str:
        """The upstream as a name for it: without a query, which may hold a credential."""
        return f"{self.origin}{self.upstream.path}"

    @property
    def public_endpoint(self) -> str:
        """The path that clients of the resource use."""
        return self._public_path or "/"

    def is_endpoint(self, path: str) -> bool:
        """Whether a public path is the resource itself, and not something below it."""
        return path in self._endpoints

    def resolve(self, scope: Scope) -> str:
        """The upstream URL for a request on a public path. Raises `Unmappable`.

        The query passes as it is, less `access_token` and any parameter that the upstream's own URL sets.
        """
        path: str = scope["path"]
        if path in self._endpoints:
            target = self._own
        else:
            raw = scope.get("raw_path") or quote(path).encode("ascii")
            target = self._base + self._below(path, raw.decode("latin-1"))
        query = self.clean_query(scope["query_string"].decode("latin-1"))
        return self._build(target, query)

    def find_session(self, scope: Scope) -> str | None:
        """The token of an announced message URL, when a request on the resource itself names one."""
        query: bytes = scope["query_string"]
        if SESSION_PARAMETER.encode() not in query:
            return None
        values = parse_qs(query.decode("latin-1")).get(SESSION_PARAMETER)
        return values[0] if values else None

    def resolve_announced(self, url: str, requested: str) -> str:
        """The upstream URL behind a message URL that the upstream announced in answer to `requested`.

        Whatever host it names itself by, it is reached at the origin that was configured. Raises `Unmappable`.
        """
        parts = urlsplit(urljoin(requested, url)) if _QUERY.fullmatch(url) else None
        if parts is None or parts.scheme not in _DEFAULT_PORTS:
            raise Unmappable("The message URL is not one of HTTP.")
        _check_path(parts.path)
        return self._build(parts.path, self.clean_query(parts.query))

    def publish(self, location: str, requested: str) -> str | None:
        """What `Location` says to the client: ours for a URL of the upstream, unchanged for another server's.

        None when it cannot be said: a URL that no client may follow, or a place of the upstream that is not public.
        """
        if not _is_reference(location):
            return None
        try:
            parts = urlsplit(urljoin(requested, location))
            own = _authority(parts) == _authority(self.upstream)
        except ValueError:
            return None
        if parts.scheme not in _DEFAULT_PORTS:
            return None
        if not own:
            return parts.geturl()
        rest = parts.path.removeprefix(self._base)
        if not parts.path.startswith(self._base) or rest[:1] not in {"", "/"}:
            return None
        query = self.clean_query(parts.query)
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        return f"{self._public_origin}{self._public_path}{rest}{query and f'?{query}'}{fragment}"

    def adopt(self, location: str, requested: str) -> bool:
        """Whether a redirect only adds or drops the slash at the end of the upstream's URL; from now on it is kept.

        Frameworks redirect `/mcp` to `/mcp/` where they mount; a client that was told so would be sent in circles,
        since both are one resource here.
        """
        if not _is_reference(location):
            return False
        parts = urlsplit(urljoin(requested, location))
        is_other = parts.path != self._own and parts.path in {self._base, f"{self._base}/"}
        if not is_other or f"{parts.scheme}://{parts.netloc}" != self.origin:
            return False
        self._own = parts.path
        return True

    def clean_query(self, query: str) -> str:
        """The parameters of a query that may pass, byte for byte. Raises `Unmappable`."""
        if not query:
            return ""
        if not _QUERY.fullmatch(query):
            raise Unmappable("The query holds characters that no URL has.")
        return "&".join(pair for pair in query.split("&") if self._withheld.isdisjoint(_names(pair)))

    def parameters(self, url: str) -> frozenset[str]:
        """The names of the parameters in an upstream URL, but for those of the upstream's own."""
        query = urlsplit(url).query
        return frozenset(name for pair in query.split("&") for name in _names(pair) if name) - self._withheld

    def _below(self, path: str, raw: str) -> str:
        """The raw path below the resource's own, with its slash."""
        if unquote(raw) != path:
            raise Unmappable("The path is spelled in two ways.")
        _check_path(raw)
        for prefix in {self._public_path, self._prefix}:
            if raw.startswith(f"{prefix}/"):
                return raw[len(prefix) :]
        raise Unmappable("There is nothing here.", status=404)

    def _build(self, path: str, query: str) -> str:
        joined = "&".join(filter(None, (self._query, query)))
        return f"{self.origin}{path}?{joined}" if joined else f"{self.origin}{path}"


def _parse_upstream(upstream: str) -> SplitResult:
    """The parts of an upstream's URL. Raises `ValueError`, which never repeats what may be a password."""
    try:
        parts = urlsplit(upstream)
        is_whole = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("upstream is not a URL.") from None
    if not is_whole or not upstream.isascii() or not upstream.isprintable() or " " in upstream:
        raise ValueError("upstream must be a whole http or https URL in ASCII.")
    if "@" in parts.netloc:
        raise ValueError("upstream must not hold a user or password: give them in headers.")
    if "#" in upstream:
        raise ValueError("upstream must not hold a fragment.")
    try:
        _check_path(parts.path or "/")
    except Unmappable as problem:
        raise ValueError(f"upstream has a path that cannot be mapped: {problem}") from None
    return parts


def _check_path(raw: str) -> None:
    """Refuse what a server behind could resolve to another path. Raises `Unmappable`. Spec: T46"""
    path = unquote(raw)
    if not _RAW_PATH.fullmatch(raw) or "\ufffd" in path or not path.isprintable():
        raise Unmappable("The path holds characters that no path has.")
    if path.count("/") != raw.count("/") or "\\" in path or "%" in path or "//" in path:
        raise Unmappable("The path could be read in two ways.")
    # A segment of dots climbs, and to some servers still does with parameters or spaces behind it.
    if any(segment and not segment.partition(";")[0].strip(" .") for segment in path.split("/")):
        raise Unmappable("The path climbs.")


def _names(pair: str) -> set[str]:
    """The parameter names in one part of a query, also for those who separate by semicolon."""
    return {unquote_plus(part.partition("=")[0]).casefold() for part in pair.split(";")}


def _is_reference(location: str) -> bool:
    return bool(location) and location.isascii() and location.isprintable() and not set(location) & set(' \\"<>')


def _authority(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
