"""The answer to a request without a token. Spec: WWW-01 … WWW-08, RS-15, RS-17; clients.md no. 53, 54, 57"""

import re

from doorward.doctor.discovery import CHALLENGE
from doorward.doctor.findings import Finding
from doorward.doctor.places import origin_of
from doorward.doctor.rules import is_absolute
from doorward.doctor.visits import Seen
from doorward.oauth.challenges import Challenge, parse_challenges

from .subject import Check, Subject

_IN_WORDS = {
    "POST": "A request without a token is answered 401",
    "GET": "GET without a token is answered 401",
    "HEAD": "HEAD without a token is answered 401",
    "EMPTY": "A POST without a body is answered 401",
    "SLASH": "The other spelling of the URL, with or without a slash, is answered 401, too",
}
_UNQUOTED = re.compile(r'resource_metadata\s*=\s*[^"\s]')
_FIRST = 'Check authentication before anything else of a request, and answer 401 with "WWW-Authenticate: Bearer …".'
_FORBIDDEN = Check("challenge-forbidden", CHALLENGE, "What lacks a token is answered 401, not 403", ("RS-15", "WWW-01"))
_BEARER = Check("challenge-bearer", CHALLENGE, "The 401 carries a Bearer challenge", ("WWW-01", "WWW-06"))
_SPELLING = Check("challenge-scheme-spelling", CHALLENGE, "The scheme is spelled Bearer")
_ORDER = Check("challenge-order", CHALLENGE, "The Bearer challenge is first, in the only header field")
_QUOTED = Check("challenge-quoted", CHALLENGE, "The values of the challenge are quoted", ("WWW-07",))
_METADATA = Check("challenge-metadata", CHALLENGE, "The challenge names the resource's metadata", ("WWW-01",))
_ABSOLUTE = Check("challenge-metadata-absolute", CHALLENGE, "It names it by an absolute address", ("WWW-01",))
_ORIGIN = Check("challenge-metadata-origin", CHALLENGE, "That address is of the server's own origin", ("WWW-01",))
_ERROR = Check("challenge-error", CHALLENGE, "The challenge names an error only where there was a token", ("WWW-04",))
_INVALID = Check("challenge-invalid-token", CHALLENGE, "A token that is no good is answered 401", ("WWW-05", "RS-17"))
_TOLD = "The first request was not answered 401, which is told above."
_ONE_FIELD = 'Send one field that begins "Bearer resource_metadata=…"; other schemes follow after a comma.'


def check_unauthorized(subject: Subject) -> list[Finding]:
    """Every kind of first request is answered 401."""
    return [_check_probe(subject, probe) for probe in _IN_WORDS]


def _check_probe(subject: Subject, probe: str) -> Finding:
    check = Check(f"unauthorized-{probe.lower()}", CHALLENGE, _IN_WORDS[probe], ("WWW-01", "RS-15"))
    seen = subject.visit.probes.get(probe)
    if seen is None or not seen.status:
        return check.skipped("There was no answer." if seen is None else f"There was no answer: {seen.fault}.")
    if seen.status == 401:
        return check.passed()
    if probe != "POST" and (subject.visit.is_open or subject.visit.is_elsewhere):
        return check.skipped(_TOLD)
    if seen.status == 403:
        return check.skipped("It was 403, which is told below.")
    if seen.location and probe != "SLASH":
        return check.skipped("It was a redirect, which is told above.")
    if probe == "POST":
        return _fail_first(subject, check, seen)
    why = "Some clients make this request first, and start a login when it is answered 401."
    if probe == "SLASH":
        why = "People type the URL in both ways."
    return check.warned(why, _FIRST, seen.in_words)


def _fail_first(subject: Subject, check: Check, seen: Seen) -> Finding:
    """The first request of most clients is not answered 401: the one cause of whatever comes after."""
    if subject.visit.is_open:
        why = "The server begins a session with whoever has no token. If it protects nothing, anybody gets in."
        return check.failed(why, f"If it is to be protected: {_FIRST[:1].lower()}{_FIRST[1:]}", seen.in_words)
    if subject.visit.is_elsewhere:
        why = "There seems to be no MCP server at this address."
        change = f"Check the address, its path most of all. If it is right: {_FIRST[:1].lower()}{_FIRST[1:]}"
        return check.failed(why, change, seen.in_words)
    return check.failed("A client only starts a login when it is told to: 401 is how.", _FIRST, seen.in_words)


def check_forbidden(subject: Subject) -> Finding:
    """403 tells a client that a login would not help. Spec: clients.md no. 57"""
    found = [seen for name, seen in subject.visit.probes.items() if seen.status == 403 and name != "GARBAGE"]
    if not found:
        return _FORBIDDEN.passed()
    why = "403 says that a login would not help, so most clients do not start one."
    return _FORBIDDEN.failed(why, _FIRST, found[0].in_words)


def _bearer(subject: Subject, probe: str = "POST") -> Challenge | None:
    found = parse_challenges(subject.visit.challenge_fields(probe))
    return next((one for one in found if one.scheme == "bearer"), None)


def check_challenge(subject: Subject) -> list[Finding]:
    """The form of the challenge, as the pickiest of the clients read it."""
    fields = subject.visit.challenge_fields()
    bearer = _bearer(subject)
    if bearer is None:
        checks = (_SPELLING, _ORDER, _QUOTED, _METADATA, _ABSOLUTE, _ORIGIN, _ERROR)
        return [_check_bearer(subject), *(check.skipped("There is no Bearer challenge.") for check in checks)]
    shown = "; ".join(fields)
    return [
        _BEARER.passed(),
        _check_spelling(fields, shown),
        _check_order(fields, shown),
        _check_quoted(fields, shown),
        *_check_named(subject, bearer, shown),
        _check_error(bearer, shown),
    ]


def _check_bearer(subject: Subject) -> Finding:
    post = subject.visit.probes.get("POST")
    if post is None or post.status != 401:
        return _BEARER.skipped("The request was not answered 401.")
    why = "Without a challenge a client does not know how to log in, or where the metadata is."
    change = 'Add "WWW-Authenticate: Bearer resource_metadata=…" to every 401, and let proxies keep it.'
    return _BEARER.failed(why, change, "; ".join(post.header_values("www-authenticate")) or "no WWW-Authenticate")


def _check_spelling(fields: list[str], shown: str) -> Finding:
    if any("Bearer" in field for field in fields):
        return _SPELLING.passed()
    return _SPELLING.warned("Some clients compare the scheme letter by letter.", 'Write "Bearer".', shown)


def _check_order(fields: list[str], shown: str) -> Finding:
    first = parse_challenges(fields[:1])
    if len(fields) == 1 and first and first[0].scheme == "bearer":
        return _ORDER.passed()
    why = "Several clients read the first challenge alone, or the last of several header fields."
    return _ORDER.warned(why, _ONE_FIELD, shown)


def _check_quoted(fields: list[str], shown: str) -> Finding:
    if not any(_UNQUOTED.search(field) for field in fields):
        return _QUOTED.passed()
    return _QUOTED.warned("Some clients look for the quotes.", 'Write resource_metadata="https://…".', shown)


def _check_named(subject: Subject, bearer: Challenge, shown: str) -> list[Finding]:
    named = bearer.resource_metadata
    if not named:
        why = "Clients then have to guess where the metadata is."
        change = 'Add resource_metadata="https://…/.well-known/oauth-protected-resource/…" to the challenge.'
        nothing = "It names none."
        return [_METADATA.warned(why, change, shown), _ABSOLUTE.skipped(nothing), _ORIGIN.skipped(nothing)]
    if not is_absolute(named):
        why = "Most clients cannot do anything with a relative address."
        change = "Write the whole address, with https:// and the public name of the server."
        return [_METADATA.passed(), _ABSOLUTE.failed(why, change, shown), _ORIGIN.skipped("It is relative.")]
    if origin_of(named) == origin_of(subject.visit.url):
        return [_METADATA.passed(), _ABSOLUTE.passed(), _ORIGIN.passed()]
    why = "Some clients only believe metadata of the server's own origin. This is often the inner one behind a proxy."
    change = "Tell the server its public address, and use that in the challenge."
    return [_METADATA.passed(), _ABSOLUTE.passed(), _ORIGIN.warned(why, change, shown)]


def _check_error(bearer: Challenge, shown: str) -> Finding:
    if bearer.error is None:
        return _ERROR.passed()
    why = "There was no token that could be wrong. Clients may throw away what they hold."
    return _ERROR.warned(why, "Leave out error= where no token was sent.", shown)


def check_invalid_token(subject: Subject) -> Finding:
    """A made up token does not get in, and the client learns that it needs another. Spec: RS-01, WWW-05"""
    seen = subject.visit.probes.get("GARBAGE")
    if seen is None or not seen.status:
        return _INVALID.skipped("There was no answer.")
    bearer = _bearer(subject, "GARBAGE")
    if subject.visit.is_open or subject.visit.is_elsewhere:
        return _INVALID.skipped(_TOLD)
    if 200 <= seen.status < 300:
        why = "A token that the doctor made up was let in: the server does not look at tokens."
        return _INVALID.failed(why, "Check signature, issuer, audience and time of every token.", seen.in_words)
    if seen.status != 401:
        why = "A client gets itself a new token when its old one is answered 401, and only then."
        return _INVALID.failed(why, 'Answer 401 with error="invalid_token".', seen.in_words)
    if bearer is None or bearer.error != "invalid_token":
        why = "The challenge does not say that the token was the reason. Perhaps a proxy takes Authorization away."
        change = 'Let the header through, and add error="invalid_token" where a token was sent.'
        return _INVALID.warned(why, change, seen.in_words)
    return _INVALID.passed()
