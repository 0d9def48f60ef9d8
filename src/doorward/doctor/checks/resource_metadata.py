"""The resource's metadata, in every place where clients look. Spec: PRM-01 … PRM-10; clients.md no. 2, 3, 55, 56"""

from doorward.doctor.discovery import PLACES, RESOURCE, resource_documents
from doorward.doctor.findings import Finding
from doorward.doctor.habits import OFFLINE_ACCESS
from doorward.doctor.places import join, resource_place, slash_variant
from doorward.doctor.rules import nulls_of, resource_fits, strings_of, text_of
from doorward.doctor.visits import Seen

from .subject import Check, Subject

_FOUND = Check("resource-metadata-found", RESOURCE, "The resource's metadata is published", ("PRM-01",))
_PATH = Check("resource-metadata-path", RESOURCE, "It is where clients look without being told", ("PRM-02",))
_NAMED = Check("resource-metadata-challenge", RESOURCE, "It is where the challenge says", ("WWW-01", "PRM-04"))
_ERRORS = Check("resource-metadata-errors", RESOURCE, "Places where it is not are answered 404", ("PRM-04",))
_EQUALS = Check("resource-equals-url", RESOURCE, "It is about exactly the URL that people enter", ("PRM-05", "PRM-06"))
_ISSUERS = Check("resource-metadata-issuers", RESOURCE, "It names an authorization server", ("PRM-07",))
_SCOPES = Check("resource-metadata-scopes", RESOURCE, "It names the scopes that are needed", ("PRM-09", "PRM-10"))
_NULLS = Check("resource-metadata-nulls", RESOURCE, "Nothing in it is null")
_SLASH = Check("resource-metadata-slash", RESOURCE, "It is right for the other spelling of the URL, too", ("PRM-06",))
_SAME = Check("resource-metadata-same", RESOURCE, "It says the same in every place")
_NOWHERE = "There is none."


def check_resource_metadata(subject: Subject) -> list[Finding]:
    """Where it is and what it says."""
    documents = resource_documents(subject.visit)
    if not documents:
        checks = (_PATH, _NAMED, _EQUALS, _SLASH, _ISSUERS, _SCOPES, _NULLS, _SAME)
        return [_check_found(subject), _check_errors(subject), *(check.skipped(_NOWHERE) for check in checks)]
    return [
        _FOUND.passed(next(iter(documents.values())).in_words),
        _check_errors(subject),
        _check_path(subject),
        _check_named(subject),
        _check_equals(subject, documents),
        _check_slash(subject),
        _check_issuers(documents),
        _check_scopes(documents),
        _check_nulls(documents),
        _check_same(documents),
    ]


def _check_found(subject: Subject) -> Finding:
    asked = "; ".join(
        seen.in_words for url, seen in subject.visit.documents.items() if "oauth-protected-resource" in url
    )
    if not subject.visit.documents:
        return _FOUND.skipped("The server did not answer.")
    if subject.visit.is_open:
        return _FOUND.skipped("The server asks nobody for a token, which is told above.")
    why = "Without it no client knows which authorization server to go to."
    change = f"Publish it at {resource_place(subject.visit.url, 'path')}, and name that address in the challenge."
    return _FOUND.failed(why, change, asked)


def _check_errors(subject: Subject) -> Finding:
    """Spec: clients.md no. 2 (429 at one place stopped eight of twelve clients)"""
    own_places = {resource_place(subject.visit.url, place) for place in PLACES}
    bad = [
        seen
        for url, seen in subject.visit.documents.items()
        if ("oauth-protected-resource" in url and (seen.status in (401, 403, 429) or seen.status >= 500))
        or (not seen.status and url in own_places)
    ]
    if not bad:
        return _ERRORS.passed()
    why = "Clients look in several places, and many stop at an answer that is neither the document nor 404."
    change = "Take well-known addresses out of authentication, rate limits and firewalls; answer 404 where nothing is."
    return _ERRORS.failed(why, change, "; ".join(seen.in_words for seen in bad))


def _check_path(subject: Subject) -> Finding:
    place = resource_place(subject.visit.url, "path")
    seen = subject.visit.get(place)
    if seen is not None and seen.status == 200 and seen.document is not None:
        return _PATH.passed()
    if seen is not None and (seen.status == 429 or seen.status >= 500):
        return _PATH.skipped("It answered with an error, which is told above.")
    why = "Clients that do not read the challenge look here, and then give up or guess."
    change = f"Serve it at {place}. Behind a proxy: let it forward addresses that begin with /.well-known/."
    return _PATH.failed(why, change, seen.in_words if seen is not None else "")


def _check_named(subject: Subject) -> Finding:
    named = subject.visit.challenge_url()
    if not named:
        return _NAMED.skipped("The challenge names no address.")
    seen = subject.visit.get(join(subject.visit.url, named))
    if seen is not None and seen.status == 200 and seen.document is not None:
        return _NAMED.passed()
    if seen is not None and (seen.status == 429 or seen.status >= 500):
        return _NAMED.skipped("It answered with an error, which is told above.")
    why = "The challenge sends clients to an address that has no metadata."
    return _NAMED.failed(why, "Serve the document there, or name the right address.", seen.in_words if seen else named)


def _check_equals(subject: Subject, documents: dict[str, Seen]) -> Finding:
    """Spec: PRM-06; complaint 5"""
    url = subject.visit.url
    for place, seen in documents.items():
        resource = text_of(seen.document, "resource")
        fits = resource_fits("exact", url, resource, at_root=place == "root")
        # The address without the slash at its end stands for both spellings.
        if place == "path" and url.endswith("/"):
            fits = fits or resource_fits("exact", slash_variant(url), resource, at_root=False)
        if not fits:
            shown = resource or "nothing"
            why = f"It says that it is about {shown}. Clients compare that with the URL and do not go on."
            if resource.startswith("http:") and url.startswith("https:"):
                why += " The server seems not to know that it is behind TLS."
            change = f"Set resource to {url}: same scheme, host and path, and no other slash at the end."
            if subject.visit.is_elsewhere:
                change = f"Give people the address that it is about. If this one is right: {change}"
            return _EQUALS.failed(why, change, f"{seen.in_words}, with resource {shown}")
    return _EQUALS.passed()


def _check_slash(subject: Subject) -> Finding:
    """Spec: clients.md no. 55; complaint 5"""
    visit = subject.visit
    other = slash_variant(visit.url)
    seen = visit.probes.get("SLASH")
    if seen is None or seen.status != 401:
        return _SLASH.skipped("The other spelling is not answered 401.")
    named = visit.challenge_url("SLASH")
    place = join(visit.url, named) if named else resource_place(other, "path", keeps_slash=True)
    found = visit.get(place)
    resource = text_of(found.document if found is not None else None, "resource")
    if resource_fits("exact", other, resource, at_root=place == resource_place(other, "root")):
        return _SLASH.passed()
    why = f"People type {other} as well. Claude.ai, Gemini CLI and VS Code compare to the last character."
    change = f"Serve metadata whose resource is {other} for requests to it, and accept both as audience."
    return _SLASH.warned(why, change, f"{place} says {resource or 'nothing'}")


def _check_issuers(documents: dict[str, Seen]) -> Finding:
    lists = [strings_of(seen.document, "authorization_servers") for seen in documents.values()]
    if not all(lists):
        why = "No client knows which authorization server to go to."
        change = 'Add "authorization_servers" with the issuer, exactly as its metadata spells it.'
        return _ISSUERS.failed(why, change, next(iter(documents.values())).in_words)
    if len(lists[0]) > 1:
        why = "Most clients take the first and never try the others."
        return _ISSUERS.warned(why, "Name one, unless you know your clients.", ", ".join(lists[0]))
    return _ISSUERS.passed(lists[0][0])


def _check_scopes(documents: dict[str, Seen]) -> Finding:
    document = next(iter(documents.values())).document
    scopes = strings_of(document, "scopes_supported")
    if not scopes:
        why = "Clients do not know what to ask for, and some versions of Kiro do not read such a document at all."
        return _SCOPES.warned(why, 'Add "scopes_supported" with the few scopes that everybody needs.')
    if OFFLINE_ACCESS in scopes:
        why = "offline_access is no scope of a resource."
        return _SCOPES.warned(why, "Name it in the authorization server's metadata instead.", " ".join(scopes))
    return _SCOPES.passed(" ".join(scopes))


def _check_nulls(documents: dict[str, Seen]) -> Finding:
    found = {name for seen in documents.values() for name in nulls_of(seen.document or {})}
    if not found:
        return _NULLS.passed()
    why = "Clients in TypeScript refuse a document in which a member is null."
    return _NULLS.failed(why, "Leave out what has no value.", ", ".join(sorted(found)))


def _check_same(documents: dict[str, Seen]) -> Finding:
    said = {tuple(strings_of(seen.document, "authorization_servers")) for seen in documents.values()}
    if len(said) == 1:
        return _SAME.passed()
    why = "Which authorization server a client goes to depends on where it looked."
    evidence = "; ".join(seen.in_words for seen in documents.values())
    return _SAME.warned(why, "Serve one document in all places.", evidence)
