"""What a client asks for once it knows a server: how it registers, which scopes, which resource. Pure.

Spec: REG-01, SCP-01, SCP-03, RES-01; clients.md §1a, §1b
"""

from typing import Any

from .discovery import Discovered
from .places import split, without_slash
from .profiles import Profile
from .rules import strings_of, text_of
from .visits import Visit

OFFLINE_ACCESS = "offline_access"


def uses_document(profile: Profile, metadata: dict[str, Any]) -> bool:
    """Whether it is its metadata document here, and does not register. Spec: REG-01, ASM-07"""
    if not profile.document or metadata.get("client_id_metadata_document_supported") is not True:
        return False
    methods = strings_of(metadata, "token_endpoint_auth_methods_supported")
    return "none" not in profile.document_needs or "none" in methods


def scope_of(profile: Profile, visit: Visit, found: Discovered) -> str:
    """The scope it asks for; empty when it asks for none. Spec: SCP-01, SCP-03"""
    of_resource = " ".join(strings_of(found.resource, "scopes_supported"))
    of_server = strings_of(found.metadata, "scopes_supported")
    choices = {
        "challenge": visit.challenge_scope() or of_resource,
        "resource": of_resource,
        "server": " ".join(of_server),
    }
    scope = choices.get(profile.scope, profile.scope)
    if profile.offline_access and OFFLINE_ACCESS in of_server and OFFLINE_ACCESS not in scope.split():
        scope = f"{scope} {OFFLINE_ACCESS}".strip()
    return scope


def resource_of(profile: Profile, visit: Visit, found: Discovered) -> str:
    """What it sends as `resource`; empty when it sends none. Spec: RES-01, clients.md §3.6"""
    named = text_of(found.resource, "resource")
    if profile.resource_sent == "none" or (not named and profile.resource_sent != "url"):
        return ""
    if profile.resource_sent == "url":
        return visit.url
    if profile.resource_sent == "canonical":
        return without_slash(named)
    return named + "/" if profile.resource_sent == "with-slash" and not split(named).path else named


def is_usable(visit: Visit, endpoint: str) -> bool:
    """Whether a client of this server would send anything to that endpoint: https, and http on one machine alone."""
    return endpoint.startswith("https:") or (endpoint.startswith("http:") and visit.url.startswith("http:"))


def has_usable_endpoints(visit: Visit, found: Discovered) -> bool:
    """Whether every endpoint that a login needs is. Spec: ASM-22, AUTHZ-19; complaint 6"""
    named = (text_of(found.metadata, f"{name}_endpoint") for name in ("authorization", "token", "registration"))
    return all(is_usable(visit, endpoint) for endpoint in named if endpoint)
