"""Where clients look for metadata. Pure.

Spec: RFC 9728 §3.1; RFC 8414 §3.1; PRM-02, PRM-03, ASM-03, ASM-19; clients.md no. 2, 55
"""

from urllib.parse import SplitResult, urljoin, urlsplit

from .profiles import LegacyPlace, MetadataPlace, ResourcePlace

_RESOURCE = "/.well-known/oauth-protected-resource"
_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"


_NOTHING = SplitResult("", "", "", "", "")


def split(url: str) -> SplitResult:
    """The parts of a URL that a server wrote: all of them empty where no parser would read it."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for what is no port
    except ValueError:
        return _NOTHING
    return parts


def join(base: str, url: str) -> str:
    """`url` as it is meant at `base`; empty where no parser would read it."""
    try:
        return urljoin(base, url)
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """Scheme, host and port as written."""
    parts = split(url)
    return f"{parts.scheme}://{parts.netloc}"


def host_of(url: str) -> str:
    """The host in lower case, or nothing."""
    return split(url).hostname or ""


def path_of(url: str) -> str:
    """The path of `url` without a slash at its end: empty for an origin."""
    return split(url).path.rstrip("/")


def slash_variant(url: str) -> str:
    """The same URL with the slash at its end that it lacks, or without the one it has."""
    parts = split(url)
    path = parts.path.rstrip("/") if parts.path.endswith("/") and parts.path != "/" else parts.path.rstrip("/") + "/"
    return parts._replace(path=path).geturl()


def resource_place(url: str, place: ResourcePlace, *, keeps_slash: bool = False) -> str:
    """Where the metadata of the server at `url` is at a well-known place; empty for the challenge."""
    path = split(url).path if keeps_slash else path_of(url)
    path = "" if path == "/" else path
    return {
        "path": f"{origin_of(url)}{_RESOURCE}{path}",
        "appended": f"{origin_of(url)}{path_of(url)}{_RESOURCE}",
        "root": f"{origin_of(url)}{_RESOURCE}",
        "challenge": "",
    }[place]


def metadata_place(issuer: str, place: MetadataPlace) -> str:
    """Where the metadata of `issuer` is."""
    origin, path = origin_of(issuer), path_of(issuer)
    return {
        "oauth": f"{origin}{_OAUTH}{path}",
        "openid": f"{origin}{_OPENID}{path}",
        "openid-appended": f"{origin}{path}{_OPENID}",
    }[place]


def legacy_place(url: str, place: LegacyPlace) -> str:
    """Where a client looks for an authorization server on the origin of the MCP server itself."""
    origin, path = origin_of(url), path_of(url)
    return {
        "oauth-root": f"{origin}{_OAUTH}",
        "openid-root": f"{origin}{_OPENID}",
        "oauth-path": f"{origin}{_OAUTH}{path}",
        "openid-path": f"{origin}{_OPENID}{path}",
        "openid-appended": f"{origin}{path}{_OPENID}",
    }[place]


def without_slash(url: str) -> str:
    """`url` without a slash at its end, to compare what differs by nothing else."""
    return url.rstrip("/")


def normalised(url: str) -> str:
    """`url` as a URL parser writes it: case of scheme and host, default port, and a slash for an empty path."""
    parts = split(url)
    host = parts.hostname or ""
    if not host:
        return url
    host = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}.get(parts.scheme)
    netloc = host if parts.port in (None, default) else f"{host}:{parts.port}"
    return parts._replace(netloc=netloc, path=parts.path or "/").geturl()
