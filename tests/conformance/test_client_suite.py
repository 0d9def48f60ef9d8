"""The official suite's client scenarios, against the example that is built on `doorward.client`.

The suite itself says which scenarios there are and which revisions they are for: a new release brings its own.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import mcp.client.session
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from doorward.client import ClientError
from examples.conformance_client import run
from tests.conformance.test_official_suite import ENVIRONMENT, SCENARIO, SUITE, known_revisions, require_suite, run_list
from tests.needs import ROOT

HANDED_OVER = Path(__file__).parent / "handed_over.py"
EXAMPLE = ROOT / "examples" / "conformance_client.py"
PATIENCE_SECONDS = 300
CLIENTS_AT_ONCE = 8
EXTENSIONS = "extensions"
"""Where the suite files what is of no revision; it runs them as of one of its own choice."""
NEWEST = ("2025-11-25", "2026-07-28")
EXPECTED = {"SUCCESS", "INFO"}
STOPS = {
    "auth/scope-retry-limit": "StepUpFailed",
    "auth/resource-mismatch": "ResourceMismatch",
    "auth/metadata-issuer-mismatch": "IssuerMismatch",
    "auth/iss-supported-missing": "CallbackIssuerMismatch",
    "auth/iss-wrong-issuer": "CallbackIssuerMismatch",
    "auth/iss-unexpected": "CallbackIssuerMismatch",
    "auth/iss-normalized": "CallbackIssuerMismatch",
}
"""What a client must not get over, and what it says then; everywhere else it gets in."""
pytestmark = pytest.mark.conformance


@dataclass
class Played:
    """What came of each scenario of one revision."""

    checks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    """`ok`, or the name of what the client raised."""
    runs: Counter[str] = field(default_factory=Counter)

    def named(self, scenario: str) -> set[str]:
        return {check["id"] for check in self.checks[scenario]}

    def requests(self, scenario: str, path: str) -> list[dict[str, Any]]:
        """The bodies of what the client posted there, from the suite's own notes of the traffic."""
        noted = [check["details"] for check in self.checks[scenario] if check["id"].startswith("incoming-")]
        return [request["body"] for request in noted if "body" in request and request["path"].endswith(path)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Every authorization scenario, by revision, and those of extensions."""
    require_suite()
    with pytest.MonkeyPatch.context() as patched:
        # A machine that does much else is not an older server.
        patched.setattr(mcp.client.session, "DISCOVER_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        return anyio.run(play_everything, tmp_path_factory.mktemp("suite"))


async def play_everything(folder: Path) -> dict[str, Played]:
    played = {revision: Played() for revision in (*known_revisions(), EXTENSIONS)}
    at_once = anyio.CapacityLimiter(CLIENTS_AT_ONCE)

    async def play(name: str) -> None:
        which = ["--suite", EXTENSIONS] if name == EXTENSIONS else ["--suite", "all", "--spec-version", name]
        async with receiving(played[name], at_once) as port:
            command = f"{sys.executable} -I -S {HANDED_OVER} {port}"
            await run_suite(command, which, folder / name)
        played[name].checks = dict(read_checks(folder / name))

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as group:
            for name in played:
                group.start_soon(play, name)
    return played


async def run_suite(command: str, which: list[str], results: Path) -> None:
    options = ["--timeout", str(PATIENCE_SECONDS * 1000), "--output-dir", str(results)]
    done = await anyio.run_process(
        [str(SUITE), "client", "--command", command, *which, *options],
        check=False,
        env=ENVIRONMENT,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode in {0, 1}, done.stdout.decode()  # 1 where a scenario failed


@asynccontextmanager
async def receiving(played: Played, at_once: anyio.CapacityLimiter) -> AsyncIterator[int]:
    """A port at which the scenarios of one run of the suite arrive, each to be played as soon as may be."""

    async def play(connection: SocketStream) -> None:
        async with connection:
            lines = BufferedByteReceiveStream(connection)
            scenario = json.loads(await lines.receive_until(b"\n", 1 << 20))
            outcome = "ok"
            if is_judged(scenario["name"]):
                async with at_once:
                    outcome = await play_scenario(**scenario)
                played.outcomes[scenario["name"]] = outcome
                played.runs[scenario["name"]] += 1
            await connection.send(outcome.encode())

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, play)
        yield int(listener.extra(SocketAttribute.local_port))  # noqa: S610  # of a listener, not of Django
        group.cancel_scope.cancel()


async def play_scenario(name: str, revision: str, given: dict[str, Any], url: str) -> str:
    try:
        await run(url, name, given)
    except ClientError as refused:
        return type(refused).__name__
    except Exception as broken:  # noqa: BLE001  # it is an outcome, to be told with all others
        return repr(broken)
    return "ok"


def is_judged(scenario: str) -> bool:
    """Whether it is about getting in. The others are about the MCP SDK that carries the messages."""
    return scenario.startswith("auth/")


def read_checks(results: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for file in results.glob("**/checks.json"):
        name = re.fullmatch(r"(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z", file.parent.relative_to(results).as_posix())
        assert name is not None, file
        if is_judged(name[1]):
            yield name[1], json.loads(file.read_text())


def listed() -> dict[str, set[str]]:
    """The scenarios that are judged, by revision, as the suite lists them."""
    found: dict[str, set[str]] = {revision: set() for revision in (*known_revisions(), EXTENSIONS)}
    for name, revisions in SCENARIO.findall(run_list("--client").stdout):
        for revision in revisions.split(","):
            if is_judged(name):
                found[EXTENSIONS if revision == "extension" else revision].add(name)
    return found


def passed(of_revision: Played, scenario: str) -> set[str]:
    """The checks of a scenario that never went another way."""
    checks = of_revision.checks[scenario]
    return of_revision.named(scenario) - {check["id"] for check in checks if check["status"] != "SUCCESS"}


def test_every_check_of_every_scenario_of_every_revision_succeeds(played: dict[str, Played]) -> None:
    scenarios = listed()
    assert {revision: set(of_revision.checks) for revision, of_revision in played.items()} == scenarios
    assert sum(map(len, scenarios.values())) >= 50
    failed = [
        f"{revision} {scenario}: {check['status']} {check['id']}: {check.get('errorMessage') or check['description']}"
        for revision, of_revision in played.items()
        for scenario, checks in of_revision.checks.items()
        for check in checks
        if check["status"] not in EXPECTED
    ]
    assert failed == []


def test_the_client_gets_in_everywhere_but_where_it_must_not_iss_05_iss_06(played: dict[str, Played]) -> None:
    for of_revision in played.values():
        assert of_revision.outcomes == {scenario: STOPS.get(scenario, "ok") for scenario in of_revision.checks}
        assert set(of_revision.runs.values()) <= {1}


def test_metadata_is_found_wherever_a_revision_puts_it_prm_16_21_asm_19_cli_12(played: dict[str, Played]) -> None:
    for revision in NEWEST:
        found = [passed(played[revision], f"auth/metadata-{place}") for place in ("default", "var1", "var2", "var3")]
        assert all({"authorization-server-metadata", "token-request"} <= checks for checks in found)
        at_root = played[revision].requests("auth/metadata-var2", "/token")[0]["resource"]
        assert urlsplit(at_root).path in {"", "/"}
    for scenario in ("metadata-backcompat", "endpoint-fallback"):
        assert "token-request" in passed(played["2025-03-26"], f"auth/2025-03-26-oauth-{scenario}")


def test_the_resource_is_named_in_both_requests_alike_res_01_02(played: dict[str, Played]) -> None:
    wanted = {f"resource-parameter-{what}" for what in ("in-authorization", "in-token", "valid-uri", "consistency")}
    for revision in NEWEST:
        assert wanted <= passed(played[revision], "auth/token-endpoint-auth-none")
    for of_revision in played.values():
        for scenario in of_revision.checks:
            assert all(form.get("resource") for form in of_revision.requests(scenario, "/token"))


def test_every_code_flow_has_a_verifier_of_its_own_pkce_01_07(played: dict[str, Played]) -> None:
    wanted = {"pkce-code-challenge-sent", "pkce-s256-method-used", "pkce-verifier-matches-challenge"}
    queries = [
        check["details"]["query"]
        for of_revision in played.values()
        for checks in of_revision.checks.values()
        for check in checks
        if check["id"] == "authorization-request" and "query" in check["details"]
    ]
    verifiers = {
        form.get("code_verifier", "")
        for of_revision in played.values()
        for scenario in of_revision.checks
        for form in of_revision.requests(scenario, "/token")
        if form["grant_type"] == "authorization_code"
    }
    assert len(queries) >= 40
    assert len({query["code_challenge"] for query in queries}) == len({query["state"] for query in queries})
    assert len({query["state"] for query in queries}) == len(queries)
    assert {len(verifier) for verifier in verifiers} == {43}  # 32 octets
    for revision in NEWEST:
        assert wanted <= passed(played[revision], "auth/metadata-default")


def test_scopes_are_chosen_widened_and_given_up_on_scp_01_02_03_step_05_06_07(played: dict[str, Played]) -> None:
    for revision in NEWEST:
        for scenario in ("from-www-authenticate", "from-scopes-supported", "omitted-when-undefined", "retry-limit"):
            assert f"scope-{scenario}" in passed(played[revision], f"auth/scope-{scenario}")
        assert {"scope-step-up-initial", "scope-step-up-escalation"} <= passed(played[revision], "auth/scope-step-up")
    newest = played[NEWEST[-1]]
    assert "sep-2350-scope-union-on-reauth" in passed(newest, "auth/scope-step-up")
    assert "sep-2207-offline-access-requested" in passed(newest, "auth/offline-access-scope")
    assert "sep-2207-offline-access-not-requested" in passed(newest, "auth/offline-access-not-supported")


def test_a_registration_says_native_and_its_answer_is_kept_to_dcr_16_18(played: dict[str, Played]) -> None:
    assert "sep-837-application-type-present" in passed(played[NEWEST[-1]], "auth/metadata-default")
    for revision in NEWEST:
        for method in ("basic", "post", "none"):
            checks = passed(played[revision], f"auth/token-endpoint-auth-{method}")
            assert "token-endpoint-auth-method" in checks
        (registered,) = played[revision].requests("auth/metadata-default", "/register")
        assert registered["application_type"] == "native"


def test_agents_get_in_without_a_page_and_say_how_cc_03_jag_18_19_wif_08(played: dict[str, Played]) -> None:
    agents = played[EXTENSIONS]
    wanted = {
        "auth/client-credentials-jwt": "client-credentials-jwt-verified",
        "auth/client-credentials-basic": "client-credentials-basic-auth",
        "auth/enterprise-managed-authorization": "complete-flow-token-exchange",
        "auth/wif-jwt-bearer": "wif-assertion-verified",
    }
    for scenario, check in wanted.items():
        assert check in passed(agents, scenario)
        assert agents.named(scenario).isdisjoint({"authorization-request", "client-registration"})
        assert len(agents.requests(scenario, "/token")) == 1
    declared = {
        name
        for message in agents.requests("auth/enterprise-managed-authorization", "/mcp")
        if message["method"] == "initialize"
        for name in message["params"]["capabilities"]["extensions"]
    }
    assert declared == {"io.modelcontextprotocol/enterprise-managed-authorization"}


def test_every_request_has_a_proof_of_its_own_dpop_11(played: dict[str, Played]) -> None:
    wanted = {f"sep-1932-client-{what}" for what in ("token-request-proof", "dpop-auth-scheme", "fresh-proof")}
    nonces = {f"sep-1932-client-{what}" for what in ("as-nonce", "rs-nonce")}
    assert wanted <= passed(played[EXTENSIONS], "auth/dpop")
    assert wanted | nonces <= passed(played[EXTENSIONS], "auth/dpop-nonce")


def test_the_example_itself_runs_as_the_suite_runs_clients(tmp_path: Path) -> None:
    require_suite()
    command = [str(SUITE), "client", "--command", f"{sys.executable} {EXAMPLE}", "--output-dir", str(tmp_path)]
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)}
    for scenario, said in (("auth/metadata-default", "test"), ("auth/iss-wrong-issuer", "CallbackIssuerMismatch")):
        done = subprocess.run(
            [*command, "--scenario", scenario],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        (folder,) = tmp_path.glob(f"{scenario}-*")
        assert said in (folder / "stdout.txt").read_text() + (folder / "stderr.txt").read_text()
