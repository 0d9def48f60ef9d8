"""The way to the server: TLS, redirects, clocks, speed. Spec: ASM-22; clients.md no. 2, 48, 60"""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from doorward.doctor.discovery import CONNECTION
from doorward.doctor.findings import Finding
from doorward.doctor.places import origin_of
from doorward.doctor.visits import Seen, Visit

from .subject import Check, Subject

SLOW_SECONDS = 5.0
SKEW_SECONDS = 60.0
SOON_SECONDS = 14 * 86_400
_OLD_PROTOCOLS = ("SSLv3", "TLSv1", "TLSv1.1")

_REACHABLE = Check("reachable", CONNECTION, "The server answers")
_CERTIFICATE = Check("tls-certificate", CONNECTION, "The certificate is trusted, and will be for a while", ("ASM-22",))
_REDIRECT = Check("mcp-redirect", CONNECTION, "The URL itself answers, and does not lead on to another")
_AGENTS = Check("user-agents", CONNECTION, "Clients are answered alike, whatever they call themselves")
_CLOCK = Check("clock", CONNECTION, "The server's clock is right")
_SPEED = Check("speed", CONNECTION, "Answers come in time")
_UNKNOWN = Check("unknown-well-known", CONNECTION, "Well-known addresses that nothing is at are answered 404")


def check_reachable(subject: Subject) -> Finding:
    """Something answers at all."""
    post = subject.visit.probes.get("POST")
    if post is not None and post.status:
        return _REACHABLE.passed(post.in_words)
    if post is not None and post.is_untrusted:
        return _REACHABLE.skipped("The connection is not trusted, which is told below.")
    why = f"Nothing answered: {post.fault if post is not None else 'it was not asked'}."
    change = "Check the address, the DNS entry, the firewall and that the server runs."
    return _REACHABLE.failed(why, change, post.in_words if post is not None else "")


def check_certificate(subject: Subject) -> Finding:
    """Certificates are trusted by machines that know nothing of this network, and do not end soon."""
    answers = list(every_answer(subject.visit))
    untrusted = next((seen for seen in answers if seen.is_untrusted), None)
    if untrusted is not None:
        why = "No client trusts this connection: " + untrusted.fault + "."
        return _CERTIFICATE.failed(why, "Serve the whole chain of a public certificate.", origin_of(untrusted.url))
    secured = [(seen, seen.certificate) for seen in answers if seen.certificate is not None]
    if not secured:
        return _CERTIFICATE.skipped("It is on this machine, without TLS.")
    for seen, certificate in secured:
        if certificate.protocol in _OLD_PROTOCOLS:
            why = f"It speaks {certificate.protocol}, which clients refuse."
            return _CERTIFICATE.warned(why, "Allow TLS 1.2 and 1.3.", origin_of(seen.url))
        if 0 < certificate.not_after - seen.received_at < SOON_SECONDS:
            days = int((certificate.not_after - seen.received_at) / 86_400)
            change = "Renew it, and look at why it was not renewed by itself."
            return _CERTIFICATE.warned(f"It ends in {days} day{'' if days == 1 else 's'}.", change, origin_of(seen.url))
    return _CERTIFICATE.passed(secured[0][1].protocol)


def check_redirect(subject: Subject) -> Finding:
    """Requests with a token are not led on: to another origin clients do not take the token along."""
    post = subject.visit.probes.get("POST")
    if post is None or not post.location:
        return _REDIRECT.passed()
    evidence = f"{post.in_words}, to {post.location}"
    if origin_of(post.location) != origin_of(subject.visit.url):
        why = (
            "It leads to another origin. Clients leave the token behind there, and their login is for the wrong server."
        )
        return _REDIRECT.failed(why, f"Give people the address {post.location}, or answer at this one.", evidence)
    why = "Every request is led on first. Not every client follows, and the metadata is for another address."
    return _REDIRECT.warned(why, "Answer at both addresses, with and without a slash.", evidence)


def check_agents(subject: Subject) -> Finding:
    """No firewall keeps a client out for its name. Spec: clients.md no. 63; claude-ai-mcp #294"""
    visit = subject.visit
    refused = [agent for agent in visit.agents if agent and visit.is_refused(agent)]
    if not refused:
        return _AGENTS.passed()
    why = "Something in front of the server, often a firewall against bots, answers these clients in another way."
    change = "Let it pass requests to the server, to /.well-known/ and to the authorization server, whoever asks."
    shown = "; ".join(f"{agent}: {' and '.join(str(seen.status) for seen in visit.agents[agent])}" for agent in refused)
    return _AGENTS.failed(why, change, shown)


def check_clock(subject: Subject) -> Finding:
    """The Date of an answer is near the doctor's own clock: a token that is not valid yet is refused."""
    for seen in every_answer(subject.visit):
        date = seen.header("date")
        try:
            skew = parsedate_to_datetime(date).timestamp() - seen.received_at if date else 0.0
        except (ValueError, OverflowError):
            continue
        if abs(skew) > SKEW_SECONDS:
            way = "ahead of" if skew > 0 else "behind"
            why = f"The clock of {origin_of(seen.url)} is {abs(skew):.0f} seconds {way} this machine's."
            return _CLOCK.warned(why, "Let the machine keep its time by NTP: tokens are valid from and until a time.")
    return _CLOCK.passed()


def check_speed(subject: Subject) -> Finding:
    """No answer takes longer than clients wait. Spec: clients.md no. 48"""
    slowest = max(every_answer(subject.visit), key=lambda seen: seen.seconds, default=None)
    if slowest is None or slowest.seconds <= SLOW_SECONDS:
        return _SPEED.passed()
    why = f"An answer took {slowest.seconds:.1f} seconds. Some clients give up after 5, most after 10."
    return _SPEED.warned(
        why, "Look at what makes it slow: a cold start, or a request to somewhere else.", slowest.in_words
    )


def check_unknown(subject: Subject) -> Finding:
    """Clients try addresses one after the other; only 404 tells them to go on. Spec: clients.md no. 2"""
    seen = subject.visit.unknown
    if seen is None:
        return _UNKNOWN.skipped("It was not asked.")
    if seen.status == 404:
        return _UNKNOWN.passed()
    change = "Answer 404 for every well-known address that nothing is at, before authentication and rate limits."
    return _UNKNOWN.warned("Clients that look in several places may stop at the first.", change, seen.in_words)


def every_answer(visit: Visit) -> Iterator[Seen]:
    """Everything that was asked of anybody."""
    yield from visit.probes.values()
    yield from (seen for answers in visit.agents.values() for seen in answers)
    yield from visit.documents.values()
    yield from visit.endpoints.values()
    for crossing in visit.crossings.values():
        yield from (crossing.preflight, crossing.actual)
    yield from (one.seen for one in visit.registrations)
    yield from (one.seen for one in visit.authorizations)
    yield from visit.tokens.values()
