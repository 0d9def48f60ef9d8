"""What clients in a browser may read. Spec: WWW-08, PRM-14, ASM-18, DCR-22, TOK-09; complaint 16; clients.md no. 62"""

from doorward.doctor.crossings import NAMES, can_read, crosses, exposes, may_send
from doorward.doctor.discovery import BROWSER
from doorward.doctor.findings import Finding

from .subject import Check, Subject

_REQUIREMENTS = {
    "challenge": ("WWW-08",),
    "resource-metadata": ("PRM-14",),
    "issuer-metadata": ("ASM-18",),
    "register": ("DCR-22",),
    "token": ("TOK-09",),
}
_EXPOSED = Check("cors-expose", BROWSER, "Pages of other origins may read the challenge's header", ("WWW-08",))


def check_crossings(subject: Subject) -> list[Finding]:
    """Whether a page of another origin gets every answer that a login needs."""
    return [*(_check_crossing(subject, name) for name in NAMES), _check_exposed(subject)]


def _check_crossing(subject: Subject, name: str) -> Finding:
    words = NAMES[name][0]
    title = f"Pages of other origins may read the {words}"
    check = Check(f"cors-{name}", BROWSER, title, _REQUIREMENTS[name])
    crossing = subject.visit.crossings.get(name)
    if crossing is None or not crossing.actual.status:
        return check.skipped("There is nothing to read.")
    if crosses(name, crossing):
        return check.passed()
    why = "A browser keeps the answer from the page, so that clients that run in one do not get in."
    if not may_send(name, crossing.preflight):
        why = "A browser asks first whether it may send the request (OPTIONS), and is not told that it may."
    change = "Answer OPTIONS without a login, and send Access-Control-Allow-Origin: * with every answer, errors too."
    return check.warned(why, change, f"{crossing.preflight.in_words}; {crossing.actual.in_words}")


def _check_exposed(subject: Subject) -> Finding:
    crossing = subject.visit.crossings.get("challenge")
    if crossing is None or not can_read(crossing.actual) or not crossing.actual.header("www-authenticate"):
        return _EXPOSED.skipped("There is no challenge that a page may read.")
    if exposes(crossing.actual, "www-authenticate"):
        return _EXPOSED.passed()
    why = "A page sees the 401 and not the challenge, so that it has to guess where the metadata is."
    return _EXPOSED.warned(why, "Send Access-Control-Expose-Headers: WWW-Authenticate, Mcp-Session-Id.")
