"""What a database must hold after a crash: whole objects only, one audit row for each change, and no promise broken."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import apsw

from tests.fault.history import Connection, History

_ENDINGS = ("grant.revoked", "token.code_reused", "token.refresh_reused")


class Snapshot:
    """The rows of a database as one reader sees them at one moment, beside the server that has it open."""

    def __init__(self, folder: Path) -> None:
        path = folder / "doorward.db"
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(f"file:{path}?mode=ro", flags=flags)
        try:
            connection.execute("BEGIN")
            self.integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            self.dangling = list(connection.execute("PRAGMA foreign_key_check"))
            self.clients: dict[str, str] = dict(connection.execute("SELECT client_id, kind FROM clients"))
            self.used_clients = {row[0] for row in connection.execute("SELECT client_id FROM grants")}
            self.grants = dict(connection.execute("SELECT grant_id, revoked_at FROM grants"))
            self.codes = {
                row[0]: row[1:] for row in connection.execute("SELECT code_hash, grant_id, used_at FROM codes")
            }
            self.families = list(
                connection.execute("SELECT grant_id, family_id, generation, revoked_at FROM refresh_families")
            )
            self.audit: list[tuple[str, str, dict[str, Any]]] = [
                (action, target, json.loads(detail))
                for action, target, detail in connection.execute("SELECT action, target, detail FROM audit_events")
            ]
        finally:
            connection.close()

    def count(self, *actions: str) -> Counter[str]:
        """How often each target has one of the actions in the audit trail."""
        return Counter(target for action, target, _ in self.audit if action in actions)

    def code(self, connection: Connection) -> tuple[str, int | None] | None:
        """(grant, used at) of a connection's code."""
        found: tuple[str, int | None] | None = self.codes.get(hashlib.sha256(connection.code.encode()).digest())
        return found

    def generation(self, grant_id: str) -> int | None:
        """How often a grant's lineage was rotated; None when it has none."""
        return next((family[2] for family in self.families if family[0] == grant_id), None)


def find_halves(rows: Snapshot) -> list[str]:
    """Everything that is only half there, or that the audit trail tells differently, whoever asked for it (I6, I7)."""
    wrong = [f"integrity: {line}" for line in rows.integrity if line != "ok"]
    wrong += [f"dangling: {row}" for row in rows.dangling]
    stored = Counter(f"client:{client}" for client, kind in rows.clients.items() if kind == "registered")
    wrong += _differ("clients", stored, rows.count("client.registered"))
    unused = [client for client, kind in rows.clients.items() if kind == "sealed" and client not in rows.used_clients]
    wrong += [f"sealed client {client} was stored without a consent" for client in unused]
    consents = Counter(detail["grant"] for action, _, detail in rows.audit if action == "consent.allowed")
    wrong += _differ("grants", Counter(list(rows.grants)), consents)
    wrong += _differ("codes", Counter(grant for grant, _ in rows.codes.values()), consents)
    used = Counter(grant for grant, used_at in rows.codes.values() if used_at is not None)
    wrong += _differ("redeemed", used, rows.count("token.code_redeemed"))
    wrong += _differ("families", Counter(family[0] for family in rows.families), used)
    rotations = Counter(
        target for action, target, detail in rows.audit if action == "token.refreshed" and not detail["repeated"]
    )
    wrong += _differ("rotations", Counter({family[0]: family[2] for family in rows.families}), rotations)
    ended = Counter(grant for grant, revoked_at in rows.grants.items() if revoked_at is not None)
    wrong += _differ("revoked", ended, rows.count(*_ENDINGS))
    orphans = [family[1] for family in rows.families if family[3] is not None and rows.grants[family[0]] is None]
    return wrong + [f"family {family} ended without its grant" for family in orphans]


def find_broken_promises(rows: Snapshot, history: History) -> list[str]:
    """Everything acknowledged that is not there, and everything there that nobody asked for (I1, I2, I3, I12)."""
    wrong = [f"{one} forgotten" for one in history.registered if one.secret and one.client_id not in rows.clients]
    for connection in history.connections:
        found = rows.code(connection)
        if found is None:
            wrong.append(f"code of {connection.client_id} forgotten")
        else:
            wrong += [f"{problem}: {connection}" for problem in _judge(rows, connection, *found)]
    return wrong


def _judge(rows: Snapshot, connection: Connection, grant_id: str, used_at: int | None) -> list[str]:
    wrong = []
    if (used_at is None and connection.redeemed == "yes") or (used_at is not None and connection.redeemed == "no"):
        wrong.append("spent and redeemed differ")
    if connection.redeemed_times > 1:
        wrong.append("redeemed twice")
    generation = rows.generation(grant_id)
    if generation is not None and not 0 <= generation - connection.generation <= connection.refreshes_lost:
        wrong.append(f"lineage at generation {generation}")
    is_ended = rows.grants[grant_id] is not None
    if connection.revoked == "yes" and not is_ended:
        wrong.append("revocation forgotten")
    if is_ended and connection.revoked == "no" and not connection.replayed:
        wrong.append("revoked by nobody")
    return wrong


def _differ(what: str, there: Counter[str], told: Counter[str]) -> list[str]:
    return [
        f"{what}: {name} is there {there[name]}×, told of {told[name]}×" for name in (there - told) + (told - there)
    ]
