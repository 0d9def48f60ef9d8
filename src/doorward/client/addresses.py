"""Which addresses a client may contact, and which it may open in a browser. Pure: no name is resolved here.

Almost every address in a login was chosen by somebody else: the server names its metadata, that names an issuer, that
names endpoints. Each is judged as text before anything else is done with it; `transport` judges once more where a name
leads to. The person or program chose one address, the server's own: from it follows what the others may be.

Spec: CLI-04, CLI-05, AUTHZ-16; threats T8, T11
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from doorward.fetch import Address, is_public_address, parse_address
from doorward.oauth.errors import OAuthError
from doorward.oauth.redirects import AUTHORITY, LOOPBACK_HOSTS
from doorward.oauth.resources import parse_resource

from .errors import AddressRefused

_DEFAULT_PORTS = {"https": 443, "http": 80}
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
        *("127.0.0.0/8", "::1/128"),
        "100.64.0.0/10",  # shared by the customers of a carrier, and by overlay networks
        "198.18.0.0/15",  # what every name leads to on machines behind some tunnels
    )
)
_CREDENTIALS_OF_MACHINES = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128", "100.100.100.200/32")
)
"""Where clouds hand out the credentials of the machine that asks. Nobody's server is there."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_INNER_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa")
_USERINFO = re.compile(r"//[^/?#]*@")
# Nothing that a shell, a command line or a web page would read as more than a character of an address.
_BROWSABLE = re.compile(r"(?:[A-Za-z0-9._~:/?\[\]@&+,=-]|%[0-9A-Fa-f]{2})+")


def check_server_url(url: str) -> None:
    """Accept the address of the server that a person or program chose; http only on this machine.

    Raises `AddressRefused`. Spec: CLI-05
    """
    parts = _parse(url, "The server")
    if parts.scheme.lower() == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise _refused("The server", url, "is not https; http is for servers on this machine alone")
    literal = parse_address(_host(parts))
    if literal is not None and not may_be_reached(literal, chosen=True, inside=True):
        raise _refused("The server", url, "is no address of a server")


def check_contactable(url: str, *, what: str, server_url: str) -> None:
    """Accept an address that `server_url`, or something it named, leads to. Raises `AddressRefused`.

    https, and http on this machine where the server is on it itself. A server of the internet leads to no address of
    this machine or its network, and nobody leads to where clouds hand out credentials.

    Spec: CLI-04, CLI-05, RFC 9728 §7.7
    """
    parts = _parse(url, what)
    server = urlsplit(server_url)
    if parts.scheme.lower() == "http" and not (parts.hostname in LOOPBACK_HOSTS and is_loopback_url(server_url)):
        raise _refused(what, url, "is not https")
    host, own = _host(parts), _host(server)
    literal = parse_address(host)
    if literal is None:
        inner = host == "localhost" or host.endswith(".localhost")
        fit = not inner or is_inside_host(own)
    else:
        fit = may_be_reached(literal, chosen=host == own, inside=is_inside_host(own))
    if not fit:
        raise _refused(what, url, "is inside a network that the server has no business in")


def check_browsable(url: str, *, loopback_http: bool = False) -> None:
    """Accept an address to lead a person's browser to. Raises `AddressRefused`.

    https, or http on this machine where `loopback_http` says so, in characters that mean nothing to a shell.

    Spec: AUTHZ-16; threat T11
    """
    parts = _parse(url, "The page to sign in at", bounded=False)
    if not _BROWSABLE.fullmatch(url):
        raise _refused("The page to sign in at", url, "has characters that an address to open must not have")
    if parts.scheme.lower() == "http" and not (loopback_http and parts.hostname in LOOPBACK_HOSTS):
        raise _refused("The page to sign in at", url, "is not https")
    literal = parse_address(_host(parts))
    if literal is not None and not may_be_reached(literal, chosen=False, inside=True):
        raise _refused("The page to sign in at", url, "is no address of a server")


def same_origin(left: str, right: str) -> bool:
    """Whether scheme, host and port of two addresses are the same; what is no address is of no origin.

    Spec: RFC 6454 §5; T8
    """
    try:
        return _origin(left) == _origin(right)
    except ValueError:
        return False


def shown_origin(url: str) -> str:
    """Scheme, host and port of an accepted address, for messages: path and query can hold what is nobody's business."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}"


def is_loopback_url(url: str) -> bool:
    """Whether an address is one of this machine, by its text."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def is_inside_host(host: str) -> bool:
    """Whether a host is on this machine or a private network by its text: names may be, and only resolving tells."""
    literal = parse_address(host)
    if literal is not None:
        return is_inside_address(literal)
    return host in LOOPBACK_HOSTS or "." not in host or host.endswith(_INNER_DOMAINS)


def is_inside_address(address: Address) -> bool:
    """Whether an address is of this machine or of a private network."""
    return any(address.version == network.version and address in network for network in _INSIDE)


def may_be_reached(address: Address, *, chosen: bool, inside: bool) -> bool:
    """Whether an address may be dialled.

    `chosen` says that a person or program named its host, `inside` that the server is on this machine or a private
    network itself. Spec: CLI-05
    """
    if any(address.version == network.version and address in network for network in _CREDENTIALS_OF_MACHINES):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address in _TRANSLATED:
        # Networks without IPv4 reach it so: what counts is the address behind.
        return is_public_address(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return is_public_address(address) or ((chosen or inside) and is_inside_address(address))


def _parse(url: str, what: str, *, bounded: bool = True) -> SplitResult:
    """The parts of a URL that every parser reads alike, of http or https."""
    try:
        # A whole authorization request may be longer than any address that somebody names.
        parse_resource(url if bounded else url.partition("?")[0])
        parts = urlsplit(url)
    except (OAuthError, ValueError):
        lacks_scheme = "://" not in url
        why = "does not begin with https:// or http://" if lacks_scheme else "is not a plain http or https address"
        raise _refused(what, url, why) from None
    if not AUTHORITY.fullmatch(parts.netloc) or parts.port == 0:
        raise _refused(what, url, "has a host or port that can be read in two ways")
    literal = parse_address(_host(parts))
    if isinstance(literal, ipaddress.IPv4Address) and str(literal) != parts.hostname:
        raise _refused(what, url, "has a host or port that can be read in two ways")
    return parts


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").removesuffix(".")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(scheme)


def _refused(what: str, url: str, why: str) -> AddressRefused:
    without_password = _USERINFO.sub("//***@", url, count=1)
    shown = "".join(character if "!" <= character <= "~" else "?" for character in without_password)
    return AddressRefused(f"{what[:1].upper()}{what[1:]}, {shown[:200]}, {why}. It was not contacted.")
