"""The authorization server's metadata. Spec: ASM-01 … ASM-18, ISS-03; clients.md no. 1 … 9"""

from typing import get_args

from doorward.doctor.discovery import SERVER
from doorward.doctor.findings import Finding
from doorward.doctor.habits import is_usable
from doorward.doctor.places import host_of, legacy_place, metadata_place, without_slash
from doorward.doctor.profiles import MetadataPlace
from doorward.doctor.rules import missing_openid_members, nulls_of, strings_of, text_of
from doorward.doctor.visits import Seen

from .subject import Check, Subject

_FOUND = Check("metadata-found", SERVER, "The authorization server's metadata is published", ("ASM-01", "ASM-03"))
_ERRORS = Check("metadata-errors", SERVER, "Places where it is not are answered 404", ("ASM-04",))
_ISSUER = Check("metadata-issuer", SERVER, "It has exactly the issuer that the resource names", ("ASM-02", "PRM-08"))
_NULLS = Check("metadata-nulls", SERVER, "Nothing in it is null", ("ASM-04",))
_OPENID = Check("metadata-openid", SERVER, "What is called an OpenID document is a whole one", ("ASM-16",))
_SAME = Check("metadata-same", SERVER, "It says the same in every place", ("ASM-16",))
_ENDPOINTS = Check("metadata-endpoints", SERVER, "It names where to log in and where to get tokens", ("ASM-05",))
_HTTPS = Check("endpoints-https", SERVER, "Its endpoints are https", ("ASM-02", "AUTHZ-19"))
_HOST = Check("endpoints-host", SERVER, "Its endpoints are where it is itself")
_REACHED = Check("endpoints-reachable", SERVER, "Its endpoints answer", ("ASM-14",))
_PKCE = Check("metadata-pkce", SERVER, "It says that it supports PKCE with S256", ("ASM-06", "ASM-21"))
_NONE = Check("documents-need-none", SERVER, "Who takes metadata documents takes clients without a secret", ("ASM-09",))
_DOCUMENTS = Check("metadata-documents", SERVER, "Clients may be known by a metadata document", ("ASM-07",))
_ISS = Check("metadata-iss", SERVER, "It says that its answers name their issuer", ("ASM-08", "ISS-03"))
_OFFERED = Check("registration-offered", SERVER, "Clients can register themselves", ("DCR-01", "ASM-13"))
_LEGACY = Check("legacy-metadata", SERVER, "Clients that know only the first revision find the authorization server")
_WITHOUT_SECRET = 'Add "none" to token_endpoint_auth_methods_supported, and accept clients without a secret.'
_NOWHERE = "There is none."


def check_server_metadata(subject: Subject) -> list[Finding]:
    """Where it is and what it says."""
    metadata = _metadata(subject)
    legacy = check_legacy(subject)
    if metadata is None:
        checks = (_ISSUER, _NULLS, _OPENID, _SAME, _ENDPOINTS, _HTTPS, _PKCE, _NONE, _DOCUMENTS, _ISS, _OFFERED)
        skipped = [check.skipped(_NOWHERE) for check in checks]
        return [_check_found(subject), _check_errors(subject), *skipped, legacy]
    return [
        _FOUND.passed(),
        _check_errors(subject),
        _check_issuer(subject),
        _check_nulls(subject),
        _check_openid(subject),
        _check_same(subject),
        *_check_endpoints(subject, metadata),
        _check_pkce(metadata),
        *_check_flags(metadata),
        legacy,
    ]


def _metadata(subject: Subject) -> dict[str, object] | None:
    """What the doctor itself works with, even where it cannot."""
    if subject.found is not None and subject.found.metadata:
        return subject.found.metadata
    return next((seen.document for seen in _documents(subject).values()), None)


def _documents(subject: Subject) -> dict[str, Seen]:
    """The documents of the issuer, by place."""
    issuer = subject.visit.issuers[0] if subject.visit.issuers else ""
    if not issuer:
        return {}
    found = {place: subject.visit.get(metadata_place(issuer, place)) for place in get_args(MetadataPlace)}
    return {place: seen for place, seen in found.items() if seen is not None and seen.status == 200 and seen.document}


def _check_found(subject: Subject) -> Finding:
    if not subject.visit.issuers:
        return _FOUND.skipped("The resource names no authorization server.")
    issuer = subject.visit.issuers[0]
    why = "No client knows where to log in."
    if not is_usable(subject.visit, issuer):
        why = "The resource names an authorization server that is not https, and clients do not go there."
    return _FOUND.failed(why, f"Publish it at {metadata_place(issuer, 'oauth')}.", f"authorization server {issuer}")


def _check_errors(subject: Subject) -> Finding:
    words = ("oauth-authorization-server", "openid-configuration")
    bad = [
        seen
        for url, seen in subject.visit.documents.items()
        if any(word in url for word in words) and (seen.status in (401, 403, 429) or seen.status >= 500)
    ]
    if not bad:
        return _ERRORS.passed()
    why = "Clients look in several places, and some stop at an answer that is neither the document nor 404."
    change = "Take well-known addresses out of authentication, rate limits and firewalls; answer 404 where nothing is."
    return _ERRORS.failed(why, change, "; ".join(seen.in_words for seen in bad))


def _check_issuer(subject: Subject) -> Finding:
    """Spec: ASM-02, ASM-20; clients.md no. 1"""
    if not subject.visit.issuers:
        return _ISSUER.skipped("The resource names none.")
    issuer = subject.visit.issuers[0]
    for seen in _documents(subject).values():
        said = text_of(seen.document, "issuer")
        if said != issuer:
            slash = " They differ by a slash at the end." if without_slash(said) == without_slash(issuer) else ""
            why = f"The resource names {issuer}, and its metadata says it is {said or 'nobody'}.{slash} Clients stop."
            right = without_slash(issuer) if slash else said or issuer
            return _ISSUER.failed(why, f"Write {right} in both, to the last character.", seen.in_words)
    return _ISSUER.passed(issuer)


def _check_nulls(subject: Subject) -> Finding:
    found = {name for seen in _documents(subject).values() for name in nulls_of(seen.document or {})}
    if not found:
        return _NULLS.passed()
    why = "Clients in TypeScript refuse a document in which a member is null."
    return _NULLS.failed(why, "Leave out what has no value.", ", ".join(sorted(found)))


def _check_openid(subject: Subject) -> Finding:
    documents = _documents(subject)
    missing: dict[str, list[str]] = {}
    for place, seen in documents.items():
        if place != "oauth" and (lacking := missing_openid_members(seen.document or {})):
            missing[place] = lacking
    if not missing:
        return _OPENID.passed()
    why = "Clients that read the OpenID document first refuse one that is not whole."
    change = "Add what is missing, or do not publish it at openid-configuration."
    return _OPENID.warned(why, change, ", ".join(sorted({name for names in missing.values() for name in names})))


def _check_same(subject: Subject) -> Finding:
    names = ("issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint")
    said = {tuple(text_of(seen.document, name) for name in names) for seen in _documents(subject).values()}
    if len(said) <= 1:
        return _SAME.passed()
    change = "Serve one document in all places."
    return _SAME.warned("What a client works with depends on where it looked.", change)


def _check_endpoints(subject: Subject, metadata: dict[str, object]) -> list[Finding]:
    """Spec: ASM-05, AUTHZ-19; complaint 6"""
    named = {name: text_of(metadata, name) for name in metadata if name.endswith("_endpoint")}
    missing = [name for name in ("authorization_endpoint", "token_endpoint") if not named.get(name)]
    if missing:
        change = f"Add {' and '.join(missing)}."
        ended = [_ENDPOINTS.failed("No client can log in without them.", change, f"missing: {', '.join(missing)}")]
        return [*ended, *(check.skipped("Endpoints are missing.") for check in (_HTTPS, _HOST, _REACHED))]
    plain = {name: url for name, url in named.items() if url and not is_usable(subject.visit, url)}
    if plain:
        why = "The server is https and sends clients to http, which they refuse. It seems not to know it is behind TLS."
        change = "Tell the authorization server its public address, with https://."
        https = _HTTPS.failed(why, change, ", ".join(plain.values()))
        return [_ENDPOINTS.passed(), https, _check_host(subject, named), _REACHED.skipped("They are http.")]
    return [_ENDPOINTS.passed(), _HTTPS.passed(), _check_host(subject, named), _check_reached(subject)]


def _check_host(subject: Subject, named: dict[str, str]) -> Finding:
    issuer = subject.visit.issuers[0] if subject.visit.issuers else subject.visit.url
    hosts = {host_of(url) for url in named.values() if url} - {host_of(issuer)}
    if not hosts:
        return _HOST.passed()
    why = "They are on other hosts than the issuer. That is allowed; behind a proxy it is often the inner address."
    return _HOST.warned(why, "Make sure that these addresses are public.", ", ".join(sorted(hosts)))


def _check_reached(subject: Subject) -> Finding:
    names = ("authorization_endpoint", "jwks_uri")
    seen = [subject.visit.endpoints[name] for name in names if name in subject.visit.endpoints]
    bad = [one for one in seen if one.status in (0, 404) or one.status >= 500]
    if not bad:
        return _REACHED.passed()
    why = "The metadata names addresses at which there is nothing."
    change = "Correct the addresses in the metadata, or serve them."
    return _REACHED.failed(why, change, "; ".join(one.in_words for one in bad))


def _check_pkce(metadata: dict[str, object]) -> Finding:
    methods = strings_of(metadata, "code_challenge_methods_supported")
    if "S256" in methods:
        return _PKCE.passed()
    why = "Clients have to refuse a server that does not say it, and several do."
    change = 'Add "code_challenge_methods_supported": ["S256"].'
    return _PKCE.failed(why, change, " ".join(methods))


def _check_flags(metadata: dict[str, object]) -> list[Finding]:
    """Spec: ASM-07 … ASM-09, ISS-03; complaint 8"""
    methods = strings_of(metadata, "token_endpoint_auth_methods_supported")
    takes_documents = metadata.get("client_id_metadata_document_supported") is True
    found = [_NONE.passed() if takes_documents else _NONE.skipped("It takes none.")]
    if takes_documents and "none" not in methods:
        why = "Metadata documents are for clients without a secret, and this server says that it takes none of those."
        found = [_NONE.failed(why, _WITHOUT_SECRET, " ".join(methods))]
    why = "Most new clients have a metadata document, and register only where they cannot use it."
    change = "Accept client metadata documents, and say client_id_metadata_document_supported: true."
    found.append(_DOCUMENTS.passed() if takes_documents else _DOCUMENTS.warned(why, change))
    why = "Clients cannot tell whether an answer is of the server they asked. Gemini CLI wants the issuer in any case."
    change = "Send iss with every answer, and say authorization_response_iss_parameter_supported: true."
    says_iss = metadata.get("authorization_response_iss_parameter_supported") is True
    found.append(_ISS.passed() if says_iss else _ISS.warned(why, change))
    why = "Clients without a metadata document then have to be set up by hand, and most cannot be."
    change = "Offer registration, and name registration_endpoint."
    offered = bool(text_of(metadata, "registration_endpoint"))
    found.append(_OFFERED.passed() if offered else _OFFERED.warned(why, change))
    return found


def check_legacy(subject: Subject) -> Finding:
    """The authorization server's metadata on the MCP server's own origin. Spec: 2025-03-26; clients.md no. 59"""
    place = legacy_place(subject.visit.url, "oauth-root")
    seen = subject.visit.get(place)
    if seen is not None and seen.status == 200 and seen.document is not None:
        return _LEGACY.passed()
    if subject.visit.is_open:
        return _LEGACY.skipped("The server asks nobody for a token, which is told above.")
    why = "Clients of the revision of March 2025, such as Raycast, look for it on the MCP server's own origin."
    change = f"Serve a copy of the authorization server's metadata at {place}, too."
    return _LEGACY.warned(why, change, seen.in_words if seen is not None else "")
