"""What every check is given, and how it says what it found."""

from dataclasses import dataclass
from functools import cached_property

from doorward.doctor.discovery import Discovered, Stopped, discover
from doorward.doctor.findings import Finding, Outcome
from doorward.doctor.profiles import LENIENT
from doorward.doctor.visits import Visit

MAX_TEXT = 1200


@dataclass(frozen=True)
class Subject:
    """A visit, and what the doctor itself made out there."""

    visit: Visit

    @cached_property
    def found(self) -> Discovered | None:
        """What a client that takes everything works with."""
        try:
            return discover(LENIENT, self.visit)
        except Stopped:
            return None


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its stable name; its outcomes as findings."""

    name: str
    step: str
    title: str
    requirements: tuple[str, ...] = ()

    def passed(self, evidence: str = "") -> Finding:
        """All is as clients need it."""
        return self._find("passed", evidence=evidence)

    def skipped(self, why: str) -> Finding:
        """It could not be looked at."""
        return self._find("skipped", why)

    def warned(self, why: str, change: str, evidence: str = "") -> Finding:
        """It could be better; whether it stops anybody is for the clients' ways to say."""
        return self._find("warning", why, change, evidence)

    def failed(self, why: str, change: str, evidence: str) -> Finding:
        """It is against what clients are entitled to."""
        return self._find("failed", why, change, evidence)

    def _find(self, outcome: Outcome, why: str = "", change: str = "", evidence: str = "") -> Finding:
        texts = (_shown(why), _shown(change))
        return Finding(self.name, self.step, self.title, outcome, *texts, self.requirements, evidence=_shown(evidence))


def _shown(text: str) -> str:
    """A text that holds what a server said, fit for terminals and pages: no control characters, and an end."""
    return "".join(character if character.isprintable() else "?" for character in text)[:MAX_TEXT]
