"""The doctor at servers with one fault each names that fault and the clients it hurts, and no others; at servers that
have none it finds none."""

from pathlib import Path

import pytest

from doorward.doctor.examining import examine
from doorward.doctor.findings import Report
from doorward.doctor.profiles import known_profiles
from doorward.doctor.sending import JudgedSender
from tests.certificates import make_certificate
from tests.doctor.broken import run_broken
from tests.doctor.expected import EXPECTED, PLAYED
from tests.running import RunningDoorward


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def failed_checks(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.outcome == "failed"}


def kept_out(report: Report) -> set[str]:
    return {client.client for client in report.clients if client.outcome == "failed"}


def in_words(report: Report) -> str:
    """For whoever reads why a test failed."""
    told = [f"{one.outcome} {one.check}: {one.why} [{one.evidence}]" for one in report.findings]
    return "\n".join([*(line for line in told if not line.startswith("passed")), *map(str, report.clients)])


def test_every_client_that_the_doctor_plays_is_expected_somewhere() -> None:
    assert {profile.id for profile in known_profiles()} == PLAYED
    assert {expected.complaint for expected in EXPECTED.values()} == {5, 6, 8, 9, 10, 11, 13, 16, 34, 36}


@pytest.mark.parametrize("fault", EXPECTED)
async def test_the_doctor_names_the_fault_and_whom_it_hurts_and_nothing_else(
    fault: str, certificate: tuple[Path, Path]
) -> None:
    behind_tls = fault == "http-endpoints"
    with run_broken(fault, certificate if behind_tls else None) as server:
        trust = str(certificate[0]) if behind_tls else None
        report = await examine(server.url, sender=JudgedSender(server.url, trust=trust))
    expected = EXPECTED[fault]
    assert failed_checks(report) == expected.checks, in_words(report)
    assert kept_out(report) == expected.hurts - expected.lets_in, in_words(report)
    named = {client for finding in report.findings if finding.outcome == "failed" for client in finding.hurts}
    assert named == expected.hurts, in_words(report)
    for client in report.clients:
        assert client.outcome != "failed" or set(client.because) <= expected.checks, client
        assert client.outcome != "failed" or client.stage, client
    for finding in report.findings:
        assert finding.outcome != "failed" or (finding.why and finding.change and finding.evidence), finding


def assert_healthy(report: Report) -> None:
    assert report.outcome == "passed", in_words(report)
    assert {client.client for client in report.clients if client.outcome == "passed"} == PLAYED


@pytest.mark.parametrize("behind_tls", [False, True])
async def test_a_server_without_a_fault_is_green_for_every_client(
    certificate: tuple[Path, Path],
    behind_tls: bool,  # noqa: FBT001  # of pytest
) -> None:
    with run_broken(certificate=certificate if behind_tls else None) as server:
        trust = str(certificate[0]) if behind_tls else None
        report = await examine(server.url, sender=JudgedSender(server.url, trust=trust))
        assert_healthy(report)
        assert server.issuer.registered == {}
        assert server.issuer.removed == {client_id for client_id, removed in report.registered if removed}
        assert report.registered


async def test_a_healthy_doorward_is_green_for_every_client(doorward: RunningDoorward) -> None:
    assert_healthy(await examine(doorward.demo))
