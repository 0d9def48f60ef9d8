"""The authorization endpoint, asked without a person. Spec: AUTHZ-04, RDU-02 … RDU-06, SCP-07, ISS-01 … ISS-03"""

from doorward.doctor.clients import why_not_authorized
from doorward.doctor.discovery import AUTHORIZATION, Discovered, Stopped, discover
from doorward.doctor.findings import Finding
from doorward.doctor.knocking import FOREIGN_REDIRECT, STATE
from doorward.doctor.profiles import find_profile
from doorward.doctor.rules import text_of
from doorward.doctor.visits import Asked

from .subject import Check, Subject

_ACCEPTED = Check("authorize-accepted", AUTHORIZATION, "Each client that is known is let on to the login", ("RDU-02",))
_DOCUMENT = Check("document-accepted", AUTHORIZATION, "Clients are known by their documents", ("CIMD-03", "REG-04"))
_PORT = Check(
    "loopback-port", AUTHORIZATION, "Programs may return to any port of their own machine", ("RDU-04", "RDU-05")
)
_SCOPE = Check("scopes-narrowed", AUTHORIZATION, "Scopes that are not known are left out, not refused", ("SCP-06",))
_OFFLINE = Check("offline-access", AUTHORIZATION, "offline_access may be asked for where it is listed", ("SCP-07",))
_RESOURCE = Check(
    "resource-accepted", AUTHORIZATION, "The resource may be asked for as its metadata names it", ("RES-03",)
)
_UNKNOWN = Check(
    "unknown-client", AUTHORIZATION, "A client that is not known gets a page, not a redirect", ("AUTHZ-04",)
)
_FOREIGN = Check("redirect-exact", AUTHORIZATION, "Nobody is sent to an address that was not registered", ("RDU-02",))
_ISS = Check("iss-sent", AUTHORIZATION, "Answers name their issuer, as promised", ("ISS-01", "ISS-02", "ISS-03"))
_STATE = Check("state-kept", AUTHORIZATION, "The state comes back as it was sent", ("AUTHZ-15",))
_LIMIT = Check("authorize-limit", AUTHORIZATION, "Requests for a login are not limited too early")
_UNREGISTERED = Check("scopes-unregistered", AUTHORIZATION, "Who registered no scopes may ask for some", ("SCP-06",))
_BY_REASON = {
    _UNREGISTERED.name: (
        _UNREGISTERED,
        "These clients register without naming scopes, and then ask for those of the resource.",
        "Give a client that names no scopes all that anybody may ask for, and let the person decide.",
    ),
    _ACCEPTED.name: (
        _ACCEPTED,
        "These clients are known, and are refused.",
        "Accept the redirects that were registered.",
    ),
    _RESOURCE.name: (
        _RESOURCE,
        "Clients have to send the resource that the metadata names, and the authorization server does not know it.",
        "Make the server's URL known to the authorization server, spelled as in its metadata.",
    ),
}


def check_authorizations(subject: Subject) -> list[Finding]:
    """How requests for a login page are answered."""
    if not subject.visit.authorizations or subject.found is None:
        checks = (
            _UNREGISTERED,
            _ACCEPTED,
            _RESOURCE,
            _DOCUMENT,
            _PORT,
            _SCOPE,
            _OFFLINE,
            _UNKNOWN,
            _FOREIGN,
            _ISS,
            _STATE,
        )
        return [check.skipped("It was not asked.") for check in checks]
    return [
        _check_limit(subject),
        *(_check_reason(subject, name) for name in _BY_REASON),
        _check_document(subject),
        _check_port(subject),
        _check_scope(subject),
        _check_offline(subject),
        _check_unknown(subject),
        _check_foreign(subject),
        _check_iss(subject, subject.found),
        _check_state(subject),
    ]


def _check_limit(subject: Subject) -> Finding:
    limited = [one for one in subject.visit.authorizations if one.seen.status == 429]
    if not limited:
        return _LIMIT.passed()
    why = "The doctor asked more often than one client does, so that some clients were not looked at to the end."
    change = "Wait a minute and look again; hosted clients share a few addresses, so do not limit these too much."
    return _LIMIT.warned(why, change, f"{len(limited)} of {len(subject.visit.authorizations)} answered 429")


def _check_reason(subject: Subject, name: str) -> Finding:
    """What each client was refused for, where no other check tells it."""
    check, why, change = _BY_REASON[name]
    visit = subject.visit
    refused: list[str] = []
    for one in (*visit.asked_as("registered"), *visit.asked_as("published"), *visit.asked_as("document")):
        if not one.refusal or (
            one.kind != "registered" and not all(asked.is_known for asked in _published(subject, one))
        ):
            continue
        profile = find_profile(one.profile)
        try:
            found = discover(profile, visit)
        except Stopped:
            continue
        if why_not_authorized(profile, visit, found, one) == name:
            refused.append(f"{profile.name}: {one.refusal} for {one.redirect_uri}")
    return check.failed(why, change, "; ".join(refused)) if refused else check.passed()


def _published(subject: Subject, one: Asked) -> list[Asked]:
    return subject.visit.asked_as("published", one.profile)


def _check_document(subject: Subject) -> Finding:
    """Spec: CIMD-03 … CIMD-16; complaints 8, 9"""
    asked = subject.visit.asked_as("published")
    refused = [one for one in asked if not one.is_known]
    if not asked:
        return _DOCUMENT.skipped("No client would use its document here.")
    if not refused:
        return _DOCUMENT.passed()
    names = "; ".join(f"{find_profile(one.profile).name}: {one.refusal}" for one in refused)
    why = "The server says that it takes metadata documents, and does not know these. Perhaps it cannot fetch them."
    change = "Let it reach these hosts from where it runs, and keep a copy for when one does not answer."
    return _DOCUMENT.failed(why, change, names)


def _check_port(subject: Subject) -> Finding:
    """Spec: RFC 8252 §7.3; complaint 10"""
    visit = subject.visit
    refused = {}
    for one in visit.asked_as("document"):
        as_published = _published(subject, one)
        if not one.is_known and all(
            asked.is_known and asked.redirect_uri != one.redirect_uri for asked in as_published
        ):
            refused[one.redirect_uri] = one
    for one in visit.asked_as("port"):
        if not one.is_known and all(asked.is_known for asked in visit.asked_as("registered", one.profile)):
            refused[one.redirect_uri] = one
    if not refused:
        return _PORT.passed()
    why = "A program is given a port by its machine and cannot know it when it registers, or writes its document."
    change = "For http redirects to 127.0.0.1, [::1] and localhost, compare everything but the port."
    return _PORT.failed(why, change, ", ".join(refused))


def _check_scope(subject: Subject) -> Finding:
    """Spec: SCP-06, SCP-07; complaint 13"""
    asked = subject.visit.asked_as("scope")
    if not asked:
        return _SCOPE.skipped("No client is known.")
    if asked[0].refusal != "invalid_scope":
        return _SCOPE.passed()
    why = "Clients ask for what they were told once, or for what they always ask for, and do not try with less."
    return _SCOPE.warned(why, "Grant the scopes that are known, and tell in the answer which those are.")


def _check_offline(subject: Subject) -> Finding:
    """Spec: SCP-03, SCP-07; complaint 13"""
    asked = subject.visit.asked_as("offline")
    if not asked:
        return _OFFLINE.skipped("The authorization server does not list it.")
    if asked[0].refusal != "invalid_scope":
        return _OFFLINE.passed()
    why = "It is in the authorization server's scopes_supported, and whoever asks for it is refused."
    return _OFFLINE.failed(why, "Accept it (it asks for a refresh token), or do not list it.", "error=invalid_scope")


def _check_unknown(subject: Subject) -> Finding:
    """Spec: AUTHZ-04, AUTHZ-07"""
    asked = subject.visit.asked_as("unknown")
    if not asked:
        return _UNKNOWN.skipped("It was not asked.")
    seen = asked[0].seen
    if asked[0].answer or seen.location.startswith(FOREIGN_REDIRECT):
        why = "Anybody can make this server send people to any address: an open redirect."
        change = "Show a page with what is wrong; redirect only to what the client registered."
        return _UNKNOWN.failed(why, change, f"redirected to {FOREIGN_REDIRECT}")
    if seen.status >= 500 or not seen.status:
        why = "The person sees a page of an error that tells nothing."
        return _UNKNOWN.failed(why, "Show a page that says that the app is not known, status 400.", seen.in_words)
    if seen.status in (401, 403, 404):
        why = "Some clients register again when this is answered 400, and only then."
        return _UNKNOWN.warned(why, "Answer 400.", f"answered {seen.status}")
    return _UNKNOWN.passed()


def _check_foreign(subject: Subject) -> Finding:
    """Spec: RDU-02, AUTHZ-04; threat of open redirects"""
    asked = subject.visit.asked_as("foreign")
    if not asked:
        return _FOREIGN.skipped("No client is known.")
    if not asked[0].answer and not asked[0].seen.location.startswith(FOREIGN_REDIRECT):
        return _FOREIGN.passed()
    why = "The answer to a login can be sent to anybody: whoever makes a link gets the code."
    change = "Redirect only to addresses that the client registered, character by character."
    return _FOREIGN.failed(why, change, f"redirected to {FOREIGN_REDIRECT}")


def _check_iss(subject: Subject, found: Discovered) -> Finding:
    """Spec: ISS-01 … ISS-03, RFC 9207; complaint 34"""
    answers = [one.answer for one in subject.visit.asked_as("error") if one.answer]
    login = subject.visit.login
    if login is not None and login.answer:
        answers.append(dict(login.answer))
    if not answers:
        return _ISS.skipped("No answer was seen. Try with a login.")
    advertised = found.metadata.get("authorization_response_iss_parameter_supported") is True
    issuer = text_of(found.metadata, "issuer")
    for answer in answers:
        iss = answer.get("iss")
        told = f"an answer with {', '.join(answer)}"
        if iss is None and advertised:
            why = "The metadata promises iss in every answer, and this one has none. Clients throw the answer away."
            return _ISS.failed(why, "Send iss with every answer, errors too, or take the promise back.", told)
        if iss is not None and iss != issuer:
            why = f"The answer is of {iss}, the metadata of {issuer}. Clients throw the answer away."
            return _ISS.failed(why, "Send exactly the issuer of the metadata.", f"iss={iss}")
        if iss is not None and not advertised:
            why = "Answers have iss, and the metadata does not say so."
            return _ISS.warned(why, "Say authorization_response_iss_parameter_supported: true.")
        if iss is None:
            why = "Answers do not name their issuer. Gemini CLI wants it in any case, and others cannot tell mix-ups."
            return _ISS.warned(why, "Send iss with every answer, errors too, and say so in the metadata.", told)
    return _ISS.passed()


def _check_state(subject: Subject) -> Finding:
    answers = [one.answer for one in subject.visit.asked_as("error") if one.answer]
    if not answers:
        return _STATE.skipped("No answer was seen.")
    if answers[0].get("state") == STATE:
        return _STATE.passed()
    why = "Clients throw away an answer whose state is not the one they sent, to the last character."
    evidence = f"sent {STATE}, came back {answers[0].get('state', 'without one')}"
    return _STATE.failed(why, "Send state back as it came, percent-encoded.", evidence)
