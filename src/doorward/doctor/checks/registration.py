"""Registration with each client's own body. Spec: DCR-02 … DCR-15, RDU-03; clients.md no. 15 … 20; complaints 11, 13"""

from doorward.doctor.discovery import REGISTRATION
from doorward.doctor.findings import Finding
from doorward.doctor.profiles import find_profile
from doorward.doctor.refusals import is_private_scheme, why_not_registered
from doorward.doctor.rules import nulls_of, strings_of
from doorward.doctor.visits import Registered

from .subject import Check, Subject

_OPEN = Check("registration-open", REGISTRATION, "Clients that nobody knows may register", ("DCR-02", "ASM-13"))
_LIMIT = Check("registration-limit", REGISTRATION, "Registrations are not limited too early", ("DCR-19",))
_SCHEMES = Check("private-schemes", REGISTRATION, "Redirects to apps on a person's machine are accepted", ("RDU-03",))
_LOOPBACK = Check("loopback-redirects", REGISTRATION, "Redirects to a person's own machine are accepted", ("DCR-15",))
_SCOPES = Check("registration-scopes", REGISTRATION, "Scopes that are not known are left out, not refused", ("SCP-07",))
_ACCEPTED = Check("registration-accepted", REGISTRATION, "Each client's own registration is accepted", ("DCR-03",))
_COMPLETE = Check("registration-complete", REGISTRATION, "The answer tells everything that was registered", ("DCR-05",))
_KEPT = Check("registration-redirects", REGISTRATION, "Every redirect URI is kept", ("DCR-05", "RDU-02"))
_METHOD = Check("registration-method", REGISTRATION, "The client authenticates as it asked to", ("DCR-05", "DCR-18"))
_NULLS = Check("registration-nulls", REGISTRATION, "Nothing in the answer is null", ("DCR-05",))
_STATUS = Check("registration-status", REGISTRATION, "A registration is answered 201", ("DCR-04",))
_OF_ANSWERS = (_COMPLETE, _KEPT, _METHOD, _NULLS, _STATUS)
_EXPECTED = ("redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method")
_REFUSED = {
    _OPEN.name: (
        _OPEN,
        "Clients have no secret to register with: what is closed to strangers is closed to all of them.",
        "Let anybody register, within limits, or take registration_endpoint out of the metadata.",
    ),
    _LIMIT.name: (
        _LIMIT,
        "The doctor asks more often than one client does; but hosted clients share addresses and some ask each time.",
        "Allow at least a hundred registrations an hour from one address.",
    ),
    _SCHEMES.name: (
        _SCHEMES,
        "These clients return to an app by a scheme of its own, and register all their redirects at once.",
        "Accept redirect URIs like cursor://… and com.example.app:/…; PKCE protects what goes there.",
    ),
    _SCOPES.name: (
        _SCOPES,
        "Clients ask for scopes that they always ask for, such as openid or offline_access.",
        "Leave out scopes that are not known here, and tell in the answer which remain.",
    ),
    _LOOPBACK.name: (
        _LOOPBACK,
        "These programs receive their answer on the person's own machine, and not all say application_type.",
        "Accept http redirects to 127.0.0.1, [::1] and localhost, and tell the kind of an app by its redirects.",
    ),
    _ACCEPTED.name: (
        _ACCEPTED,
        "What these clients send is refused.",
        "Ignore what is not known, fill in what is missing, and refuse only what is dangerous.",
    ),
}


def check_registrations(subject: Subject) -> list[Finding]:
    """How the registrations of all clients went."""
    tried = subject.visit.registrations
    if not tried:
        why = "Nothing was registered, as asked." if not subject.visit.registers else "No client would register here."
        return [check.skipped(why) for check in (_OPEN, _LIMIT, _SCHEMES, _LOOPBACK, _SCOPES, _ACCEPTED, *_OF_ANSWERS)]
    good = [one for one in tried if one.client_id]
    found = [_check_refused(name, tried) for name in _REFUSED]
    if not good:
        return [*found, *(check.skipped("No registration was accepted.") for check in _OF_ANSWERS)]
    return [
        *found,
        _check_complete(good),
        _check_kept(good),
        _check_method(good),
        _check_nulls(good),
        _check_status(good),
    ]


def _check_refused(name: str, tried: list[Registered]) -> Finding:
    check, why, change = _REFUSED[name]
    refused = [one for one in tried if not one.client_id and why_not_registered(one) == name]
    if not refused:
        if check is _SCHEMES and not any(is_private_scheme(uri) for one in tried for uri in one.body["redirect_uris"]):
            return check.skipped("No client with such a redirect would register here.")
        return check.passed()
    shown = []
    for one in refused:
        document = one.seen.document or {}
        names = ", ".join(find_profile(profile).name for profile in one.profiles)
        shown.append(f"{names}: {one.seen.status or one.seen.fault} {document.get('error', '')}".strip())
    if check is _LIMIT:  # the doctor registers more often than any one client does
        return check.warned(why, change, "; ".join(shown))
    return check.failed(why, change, "; ".join(shown))


def _check_complete(good: list[Registered]) -> Finding:
    missing = {name for one in good for name in _EXPECTED if name not in (one.seen.document or {})}
    if not all(strings_of(one.seen.document, "redirect_uris") for one in good):
        missing.add("redirect_uris")
    if not missing:
        return _COMPLETE.passed()
    why = "Clients go by the answer: most refuse one without redirect_uris, and some then never send a secret."
    change = "Answer with every member that was registered, those that were filled in included."
    evidence = "missing: " + ", ".join(sorted(missing))
    if "redirect_uris" in missing:
        return _COMPLETE.failed(why, change, evidence)
    return _COMPLETE.warned(why, change, evidence)


def _check_kept(good: list[Registered]) -> Finding:
    lost: dict[str, None] = {}
    for one in good:
        kept = strings_of(one.seen.document, "redirect_uris")
        lost |= {uri: None for uri in one.body["redirect_uris"] if kept and uri not in kept}
    if not lost:
        return _KEPT.passed()
    why = "The client will ask for a redirect that it registered and that is not there any more."
    return _KEPT.warned(why, "Keep every redirect URI as it was sent, or refuse the registration.", ", ".join(lost))


def _check_method(good: list[Registered]) -> Finding:
    other = {
        f"{asked} became {given}"
        for one in good
        if (asked := one.body.get("token_endpoint_auth_method"))
        and (given := (one.seen.document or {}).get("token_endpoint_auth_method", asked)) != asked
    }
    if not other:
        return _METHOD.passed()
    why = "Not every client does what the answer says instead of what it asked for."
    return _METHOD.warned(why, "Register clients without a secret as such (none).", ", ".join(sorted(other)))


def _check_nulls(good: list[Registered]) -> Finding:
    found = {name for one in good for name in nulls_of(one.seen.document or {})}
    if not found:
        return _NULLS.passed()
    why = "Clients in TypeScript refuse an answer in which a member is null."
    return _NULLS.failed(why, "Leave out what has no value.", ", ".join(sorted(found)))


def _check_status(good: list[Registered]) -> Finding:
    if all(one.seen.status == 201 for one in good):
        return _STATUS.passed()
    return _STATUS.warned("The specification says 201; clients take 200, too.", "Answer 201 Created.")
