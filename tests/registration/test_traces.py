"""What twelve released clients were recorded to send, request by request, and the class of each answer they get.

Spec: clients.md §2, nos. 1 to 14, 31, 32, 44, 50 to 55; ASM-01 … ASM-03, PRM-03, DCR-05, AUTHZ-12, REV-05
"""

from collections import Counter
from typing import Any

import pytest

from doorward.oauth.resources import same_resource
from tests.inside import ISSUER, Answer, Door
from tests.registration.field.facts import read_profiles, read_traces
from tests.registration.field.replay import Recorded
from tests.registration.site import Site
from tests.registration.steps import told
from tests.server.steps import assert_no_null, refusal

TRACES = read_traces()


WITH_SECRET = [name for name, trace in TRACES.items() if "client_secret" in str(trace)]


@pytest.mark.parametrize(
    ("name", "with_secret"),
    [*((name, False) for name in TRACES), *((name, True) for name in WITH_SECRET)],
    ids=[*TRACES, *(f"{name}-secret" for name in WITH_SECRET)],
)
async def test_what_a_client_was_recorded_to_send_is_answered_as_it_expects(
    door: Door, site: Site, name: str, *, with_secret: bool
) -> None:
    recorded = Recorded(door, site, TRACES[name], with_secret=with_secret)
    await recorded.prepare()
    kinds: Counter[str] = Counter()
    for request in recorded.trace["requests"]:
        answer = await recorded.send(request)
        kinds[classify(recorded, request, answer)] += 1
    assert sum(kinds.values()) == len(recorded.trace["requests"])
    assert bool(recorded.client.secret) is with_secret
    assert kinds["tokens"] >= sum(map(is_redemption, recorded.trace["requests"]))


def is_redemption(request: dict[str, Any]) -> bool:
    return request["path"].endswith("/token") and ["grant_type", "authorization_code"] in request["body"]


def test_every_trace_is_of_a_profile_that_names_it() -> None:
    named = {
        trace: profile["id"] for profile in read_profiles().values() for trace in profile.get("traces", {}).values()
    }
    assert named == {name: trace["client"] for name, trace in TRACES.items()}
    assert len({trace["client"] for trace in TRACES.values()}) == 12


def classify(recorded: Recorded, request: dict[str, Any], answer: Answer) -> str:
    """The class of an answer, once it was found to be what this client needs at this point."""
    path, kind = request["path"], request["path"].rstrip("/").rpartition("/")[2]
    if "/.well-known/" in path:
        return check_document(recorded, request, answer)
    if kind == "mcp":
        return check_guard(recorded, request, answer)
    if kind == "register":
        assert answer.status == 201, answer.body
        assert_no_null(answer.json())
        assert answer.json()["redirect_uris"] == recorded.filled(request["body"]["redirect_uris"])
        return "registered"
    if kind == "authorize":
        if recorded.client.is_forgotten:
            assert "add it again" in told(answer)
            return "page"
        assert answer.status in (302, 303), answer.body
        return "asked"
    if recorded.client.is_forgotten:
        assert refusal(answer) == (401, "invalid_client")
        return "forgotten"
    assert answer.status == 200, answer.body
    return "revoked" if kind == "revoke" else "tokens"


def check_document(recorded: Recorded, request: dict[str, Any], answer: Answer) -> str:
    """The right document, or 404 where another is meant: never a limit, a login or a redirect (no. 2)."""
    path = request["path"]
    if answer.status != 200:
        assert answer.status == 404, (path, answer.status)
        meant_here = "/mcp" not in path and request["to"] == "as" and "protected-resource" not in path
        assert not meant_here, path
        return "absent"
    document = answer.json()
    assert_no_null(document)
    if "protected-resource" in path:
        assert document["authorization_servers"] == [recorded.issuer]
        assert same_resource(document["resource"], recorded.resource)
        if path.endswith(("/mcp", "/mcp/")) and recorded.trace["mode"] != "wellknown":
            assert document["resource"].endswith(path.removeprefix("/.well-known/oauth-protected-resource"))
        return "resource"
    assert document["issuer"] == (ISSUER if "/t1" not in path else recorded.issuer)
    return "server"


def check_guard(recorded: Recorded, request: dict[str, Any], answer: Answer) -> str:
    """Without a token a challenge, with one the app, or the scope that is missing (nos. 53, 54, 57)."""
    challenge = answer.header("www-authenticate")
    if "authorization" not in request:
        assert answer.status == 401
        assert challenge.startswith('Bearer resource_metadata="https://')
        assert 'scope="tools:read"' in challenge
        assert "error" not in challenge
        return "challenge"
    if request.get("jsonrpc", {}).get("method") == "tools/call" and "tools:write" not in recorded.client.scope:
        assert answer.status == 403
        assert 'error="insufficient_scope"' in challenge
        assert "tools:write" in challenge
        return "step up"
    assert answer.status == 200, (answer.status, challenge)
    return "served"
