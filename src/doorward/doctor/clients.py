"""Each known client's way through what was seen, and where it ends.

A client fails only by what its own rules make fatal; what is against the specification and stops nobody known is for
the checks to say.

Spec: product.md, feature 2; clients.md §1a … §1d
"""

from .crossings import crosses
from .discovery import (
    AUTHORIZATION,
    BROWSER,
    CHALLENGE,
    LOGIN,
    REGISTRATION,
    SERVER,
    TOKEN,
    Discovered,
    Stopped,
    discover,
)
from .findings import ClientVerdict, Outcome
from .habits import OFFLINE_ACCESS, has_usable_endpoints, resource_of, scope_of, uses_document
from .places import without_slash
from .profiles import Profile
from .refusals import is_token_error, why_not_registered
from .rules import nulls_of, strings_of, text_of
from .visits import Asked, Seen, Visit


def judge_client(profile: Profile, visit: Visit) -> ClientVerdict:
    """Whether this client gets in, as far as was seen, and which checks stop it, or trouble it on the way."""
    troubles: list[str] = []
    try:
        troubles += _cross(profile, visit)
        if visit.is_open:
            return _verdict(profile, "warning", "", (*troubles, "unauthorized-post"))
        found = discover(profile, visit)
        if not has_usable_endpoints(visit, found):
            raise Stopped(SERVER, "endpoints-https")
        _be_known(profile, visit, found)
        _be_authorized(profile, visit, found)
        troubles += _get_token(profile, visit)
        _call(visit)
    except Stopped as stopped:
        return _verdict(profile, "failed", stopped.stage, stopped.because)
    if profile.needs_resource_scopes and found.resource is not None and "scopes_supported" not in found.resource:
        troubles.append("resource-metadata-scopes")
    return _verdict(profile, "warning" if troubles else "passed", "", tuple(troubles))


def _verdict(profile: Profile, outcome: Outcome, stage: str, because: tuple[str, ...]) -> ClientVerdict:
    return ClientVerdict(profile.id, profile.name, profile.version, outcome, stage, because)


def _cross(profile: Profile, visit: Visit) -> list[str]:
    """A client in a browser reads nothing that the server does not let pages of other origins read.

    Returns what it needs its proxy for, where it has one.
    """
    if not profile.in_browser or not visit.probes.get("POST"):
        return []
    barred = [f"cors-{name}" for name, crossing in visit.crossings.items() if not crosses(name, crossing)]
    if barred and not profile.has_proxy:
        raise Stopped(CHALLENGE if barred == ["cors-challenge"] else BROWSER, *barred)
    return barred


def _be_known(profile: Profile, visit: Visit, found: Discovered) -> None:
    """Be known to the authorization server: by a document, or by registering."""
    if uses_document(profile, found.metadata):
        methods = strings_of(found.metadata, "token_endpoint_auth_methods_supported")
        if profile.document_method not in methods and methods:
            raise Stopped(REGISTRATION, "documents-need-none")
        if not all(one.is_known for one in visit.asked_as("published", profile.id)):
            raise Stopped(REGISTRATION, "document-accepted")
        return
    if not text_of(found.metadata, "registration_endpoint"):
        raise Stopped(REGISTRATION, "registration-offered")
    _register(profile, visit)


def _register(profile: Profile, visit: Visit) -> None:
    tried = visit.registration_of(profile.id)
    if tried is None:  # it was not to be tried, or is one too many: nothing is known against it
        return
    if tried.seen.status == 429 and any(one.client_id for one in visit.registrations):
        return  # it was the doctor that asked too often, and not this client
    if not tried.client_id:
        raise Stopped(REGISTRATION, why_not_registered(tried))
    document = tried.seen.document or {}
    if "registration" in profile.refuses_nulls and nulls_of(document):
        raise Stopped(REGISTRATION, "registration-nulls")
    if any(not strings_of(document, name) for name in profile.registration_needs):
        raise Stopped(REGISTRATION, "registration-complete")


def _be_authorized(profile: Profile, visit: Visit, found: Discovered) -> None:
    if profile.needs_pkce and "S256" not in strings_of(found.metadata, "code_challenge_methods_supported"):
        raise Stopped(REGISTRATION, "metadata-pkce")
    asked = [*visit.asked_as("published", profile.id), *visit.asked_as("document", profile.id)]
    asked += visit.asked_as("registered", profile.id)[:1]
    for one in asked:
        if one.refusal:
            raise Stopped(AUTHORIZATION, why_not_authorized(profile, visit, found, one))
    _check_iss(profile, visit, found)


def why_not_authorized(profile: Profile, visit: Visit, found: Discovered, one: Asked) -> str:
    """The check that tells why a client's authorization request was refused."""
    if one.refusal == "invalid_scope":
        offline = any(asked.refusal for asked in visit.asked_as("offline"))
        if offline and OFFLINE_ACCESS in scope_of(profile, visit, found).split():
            return "offline-access"
        return "scopes-narrowed" if "scope" in profile.registration else "scopes-unregistered"
    if one.refusal == "invalid_target":
        named = text_of(found.resource, "resource")
        return (
            "resource-equals-url"
            if named and named == resource_of(profile, visit, found) != visit.url
            else "resource-accepted"
        )
    if one.kind == "document" and not one.is_known and profile.redirect_of_document != profile.published_redirect:
        return "loopback-port"
    return "authorize-accepted"


def _check_iss(profile: Profile, visit: Visit, found: Discovered) -> None:
    """RFC 9207 as this client applies it, on the answer of a login where there was one. Spec: ISS-05"""
    login = visit.login
    answers = (
        [dict(login.answer)] if login is not None and login.answer else [one.answer for one in visit.asked_as("error")]
    )
    advertised = found.metadata.get("authorization_response_iss_parameter_supported") is True
    issuer = text_of(found.metadata, "issuer")
    for answer in filter(None, answers):
        if not _iss_passes(profile, answer.get("iss"), issuer, advertised=advertised):
            raise Stopped(AUTHORIZATION, "iss-sent")


def _iss_passes(profile: Profile, iss: str | None, issuer: str, *, advertised: bool) -> bool:
    if profile.iss == "ignored":
        return True
    if profile.iss == "required":
        return iss is not None and without_slash(iss) == without_slash(issuer)
    if iss is None:
        return not advertised
    return iss == issuer and (advertised or profile.iss != "advertised")


def _get_token(profile: Profile, visit: Visit) -> list[str]:
    """Get a token; returns what will keep the client from getting its next one."""
    token = visit.login.token if visit.login is not None else None
    if token is not None:
        _read_token(profile, token)
    unreadable = any(not is_token_error(seen) for seen in visit.tokens.values())
    return ["token-errors"] if unreadable and not profile.starts_over else []


def _read_token(profile: Profile, token: Seen) -> None:
    document = token.document
    if token.status != 200 or document is None or not text_of(document, "access_token"):
        raise Stopped(TOKEN, "token-answer")
    if "token" in profile.refuses_nulls and nulls_of(document):
        raise Stopped(TOKEN, "token-nulls")
    if profile.expires_in_number and isinstance(document.get("expires_in"), str):
        raise Stopped(TOKEN, "token-expires-in")


def _call(visit: Visit) -> None:
    """The first call with the token. Spec: complaint 7"""
    first = visit.login.initialize if visit.login is not None else None
    if first is not None and first.status in (401, 403):
        raise Stopped(LOGIN, "first-call")
