"""What the token endpoint says to what it cannot grant. Spec: TOK-04 … TOK-06, TOK-10; clients.md no. 44"""

from doorward.doctor.discovery import TOKEN
from doorward.doctor.findings import Finding
from doorward.doctor.refusals import is_token_error

from .subject import Check, Subject

_ERRORS = Check("token-errors", TOKEN, "Refusals say in JSON what is wrong", ("TOK-05", "TOK-06"))
_UNKNOWN = Check("token-unknown-client", TOKEN, "A client that is not known is told so", ("TOK-06",))
_GRANT = Check("token-unsupported-grant", TOKEN, "A grant that is not supported is told so", ("TOK-10",))
_CACHE = Check("token-cache", TOKEN, "Answers are not kept by caches", ("TOK-04",))
_IN_JSON = 'Answer 400 with {"error": "invalid_grant"}, and 401 with {"error": "invalid_client"}, as JSON.'


def check_tokens(subject: Subject) -> list[Finding]:
    """How codes and tokens that were never given are refused."""
    tokens = subject.visit.tokens
    if not tokens:
        return [check.skipped("It was not asked.") for check in (_ERRORS, _UNKNOWN, _GRANT, _CACHE)]
    bad = [seen for seen in tokens.values() if not is_token_error(seen)]
    if bad:
        why = "A client that cannot read why it is refused neither logs in again nor registers again. It stays outside."
        shown = "; ".join(f"{seen.in_words}, {seen.header('content-type') or 'no type'}" for seen in bad)
        skipped = (check.skipped("Refusals cannot be read.") for check in (_UNKNOWN, _GRANT))
        return [_ERRORS.failed(why, _IN_JSON, shown), *skipped, _check_cache(subject)]
    return [_ERRORS.passed(), _check_unknown(subject), _check_grant(subject), _check_cache(subject)]


def _check_unknown(subject: Subject) -> Finding:
    seen = subject.visit.tokens["unknown-client"]
    error = (seen.document or {}).get("error")
    if error == "invalid_client" and seen.status == 401:
        return _UNKNOWN.passed()
    why = "Clients register again when they are told invalid_client with 401, and loop without it."
    return _UNKNOWN.warned(why, "Answer 401 with invalid_client.", f"{seen.status} {error}")


def _check_grant(subject: Subject) -> Finding:
    seen = subject.visit.tokens.get("grant")
    if seen is None:
        return _GRANT.skipped("No client is known.")
    error = (seen.document or {}).get("error")
    if error in ("unsupported_grant_type", "unauthorized_client", "invalid_client"):
        return _GRANT.passed()
    return _GRANT.warned("It is told something else.", "Answer 400 with unsupported_grant_type.", str(error))


def _check_cache(subject: Subject) -> Finding:
    if all("no-store" in seen.header("cache-control") for seen in subject.visit.tokens.values()):
        return _CACHE.passed()
    why = "What is answered here is secret, and a cache may keep it."
    return _CACHE.warned(why, "Send Cache-Control: no-store with every answer.")
