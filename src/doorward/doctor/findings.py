"""What the doctor found: values that every report is made of."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and how it went.

    `check` is its stable name (`metadata-issuer`), `step` the part of a client's way it belongs to (`Challenge`,
    `Metadata`, `Registration`, …). `why` says in plain words what is wrong and whom it stops, `change` what to do;
    both are empty when it passed. `requirements` are ids of the checklist, `hurts` ids of client profiles that it
    stops or troubles. `evidence` is what was seen, never a secret.
    """

    check: str
    step: str
    title: str
    outcome: Outcome
    why: str = ""
    change: str = ""
    requirements: tuple[str, ...] = ()
    hurts: tuple[str, ...] = ()
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class ClientVerdict:
    """Whether one known client gets in; `because` are the checks that stop it (or warn, when it passes)."""

    client: str
    name: str
    version: str
    outcome: Outcome
    stage: str = ""
    """The last step it reaches, when it fails."""
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of one visit. Times are epoch seconds.

    `registered` are client ids that were registered, and whether each could be removed again: the doctor leaves
    nothing behind that it does not say.
    """

    url: str
    started_at: float
    finished_at: float
    version: str
    findings: tuple[Finding, ...]
    clients: tuple[ClientVerdict, ...]
    registered: tuple[tuple[str, bool], ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of its findings and clients."""
        found = {finding.outcome for finding in self.findings} | {client.outcome for client in self.clients}
        return next((outcome for outcome in ("failed", "warning") if outcome in found), "passed")
