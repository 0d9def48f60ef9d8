"""The rules that clients compare by, each as one function. Pure.

Spec: PRM-06, PRM-17, ASM-20, WWW-09, ISS-05; clients.md §1d
"""

import re
from typing import Any

from doorward.oauth.challenges import parse_challenges

from .places import join, normalised, origin_of, split, without_slash
from .profiles import IssuerRule, Profile, ResourceRule

_QUOTED = re.compile(r'resource_metadata\s*=\s*"')
OPENID_MEMBERS = (
    "jwks_uri",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "response_types_supported",
)


class RelativeAddress(Exception):  # noqa: N818  # it names what was met
    """The challenge names a relative address, at which this client ends."""


def read_challenge(profile: Profile, fields: list[str], url: str) -> str:
    """The address of the metadata as this client reads the challenge; empty where it reads none.

    Raises `RelativeAddress` for a client that ends at one. Spec: WWW-01, WWW-09; clients.md no. 54
    """
    if profile.challenge == "ignored" or not fields:
        return ""
    readable = {"any": fields, "first": [", ".join(fields)], "last": fields[-1:]}[profile.challenge]
    found = parse_challenges(readable)
    if profile.challenge != "any":
        found = found[:1]
    if profile.case_sensitive and not any("Bearer" in one for one in fields):
        return ""
    if profile.quoted_only and not any(_QUOTED.search(one) for one in fields):
        return ""
    named = next((one.resource_metadata or "" for one in found if one.scheme == "bearer"), "")
    return _absolute(profile, named, url) if named else ""


def _absolute(profile: Profile, named: str, url: str) -> str:
    if is_absolute(named):
        return "" if profile.same_origin_challenge and origin_of(named) != origin_of(url) else named
    if profile.relative_challenge == "stops":
        raise RelativeAddress
    return join(url, named) if profile.relative_challenge == "resolved" else ""


def is_absolute(url: str) -> bool:
    """Whether it has a scheme and a host."""
    parts = split(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def resource_fits(rule: ResourceRule, url: str, resource: str, *, at_root: bool) -> bool:
    """Whether a client takes metadata with that `resource` for the server at `url`. Spec: PRM-06, PRM-17, PRM-21"""
    if rule == "any":
        return True
    if not is_absolute(resource):
        return False
    asked, named = normalised(url), normalised(resource)
    if rule in ("exact", "identical"):
        return asked == named or (rule == "exact" and at_root and normalised(origin_of(url)) == named)
    if normalised(origin_of(url)) != normalised(origin_of(resource)):
        return False
    asked_path, named_path = split(asked).path, split(named).path
    if rule == "covers" and len(asked_path) < len(named_path):
        return False
    return (without_slash(asked_path) + "/").startswith(without_slash(named_path) + "/")


def issuer_fits(rule: IssuerRule, expected: str, issuer: Any) -> bool:
    """Whether a client takes metadata of `issuer` where the resource named `expected`. Spec: ASM-02, ASM-20"""
    if rule == "ignored" or issuer == expected:
        return True
    if not isinstance(issuer, str) or rule == "exact":
        return False
    if rule == "missing-slash":
        return without_slash(expected) == issuer
    return without_slash(expected) == without_slash(issuer)


def nulls_of(document: dict[str, Any]) -> list[str]:
    """The members that are null. Spec: clients.md no. 3"""
    return [name for name, value in document.items() if value is None]


def strings_of(document: dict[str, Any] | None, name: str) -> list[str]:
    """The strings of a list; empty when it is none."""
    value = (document or {}).get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def text_of(document: dict[str, Any] | None, name: str) -> str:
    """A string member, or nothing."""
    value = (document or {}).get(name)
    return value if isinstance(value, str) else ""


def missing_openid_members(document: dict[str, Any]) -> list[str]:
    """What an OpenID document must have and this one has not. Spec: ASM-16; clients.md no. 9"""
    return [name for name in OPENID_MEMBERS if not document.get(name)]
