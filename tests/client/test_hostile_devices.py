"""Codes for devices from a server that is up to no good: nothing is shown that must not be opened, and nobody asks
for ever.

Spec: RFC 8628 §3.2, §3.5; T11
"""

import json
from typing import Any

import pytest

from doorward.client.device_authorization import authorize_device
from doorward.client.documents import ServerMetadata
from doorward.client.effects import Answer, Send, ShowUserCode, Wait
from doorward.client.errors import (
    AccessDenied,
    AddressRefused,
    AnswerRefused,
    AuthorizationFailed,
    ClientError,
    LoginRequired,
    TokenRequestFailed,
)
from doorward.client.records import Registration
from doorward.client.tokens import Prover

ISSUER = "https://as.example"
SERVER = ServerMetadata(
    ISSUER, token_endpoint=f"{ISSUER}/token", device_authorization_endpoint=f"{ISSUER}/device_authorization"
)
CODE = {
    "device_code": "device-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": f"{ISSUER}/device",
    "verification_uri_complete": f"{ISSUER}/device?user_code=ABCD-EFGH",
    "expires_in": 600,
    "interval": 5,
}


class Run:
    """The flow, with a clock that waits move, and a server that answers the first request with `code` and every
    other with `polled`."""

    def __init__(self, code: dict[str, Any] | bytes, polled: Any = None) -> None:
        self.now = 1_000_000.0
        self.shown: list[ShowUserCode] = []
        self.waits: list[float] = []
        self.sent: list[Send] = []
        self._code = code if isinstance(code, bytes) else json.dumps(code).encode()
        self._polled = polled or {"error": "authorization_pending"}

    def end(self) -> ClientError:
        """What the flow ends with."""
        flow = authorize_device(
            SERVER,
            Registration(ISSUER, "dynamic", "client"),
            Prover(lambda: self.now),
            resource="https://mcp.example/mcp",
            scope=("tools",),
        )
        try:
            effect = next(flow)
            for _ in range(10_000):
                result: object = None
                if isinstance(effect, Send):
                    self.sent.append(effect)
                    result = self._answer()
                elif isinstance(effect, Wait):
                    self.waits.append(effect.seconds)
                    self.now += effect.seconds
                elif isinstance(effect, ShowUserCode):
                    self.shown.append(effect)
                effect = flow.throw(result) if isinstance(result, ClientError) else flow.send(result)
        except ClientError as error:
            return error
        raise AssertionError("it asks for ever")

    def _answer(self) -> Answer | ClientError:
        if len(self.sent) == 1:
            return Answer(200, (), self._code, self.now)
        if isinstance(self._polled, ClientError):
            return self._polled
        status = 200 if "access_token" in self._polled else 400
        return Answer(status, (), json.dumps(self._polled).encode(), self.now)


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://as.example/device",
        "http://127.0.0.1:8000/device",
        "https://user@as.example/device",
        "https://169.254.169.254/device",
        "https://as.example/$(touch x)",
        "https://as.example/\x1b]8;;https://evil.example\x07device",
        "https://as.example/de\r\nvice",
        "https://\u0430s.example/device",
        "as.example/device",
    ],
)
def test_a_page_that_must_not_be_opened_is_not_shown_t11(name: str, url: str) -> None:
    run = Run({**CODE, name: url})
    assert type(run.end()) is AddressRefused
    assert run.shown == []
    assert len(run.sent) == 1


@pytest.mark.parametrize("name", ["device_code", "user_code", "verification_uri"])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}, True])
def test_a_code_that_cannot_be_one_is_none(name: str, value: Any) -> None:
    run = Run({**CODE, name: value})
    assert type(run.end()) is AuthorizationFailed
    assert run.shown == []


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"device_code": "a", "device_code": "b"}', b"[" * 100_000])
def test_an_answer_that_holds_no_code_is_none(body: bytes) -> None:
    run = Run(body)
    assert type(run.end()) is AuthorizationFailed
    assert run.shown == []


def test_a_code_is_shown_without_what_would_move_a_terminal() -> None:
    run = Run({**CODE, "user_code": "AB\x1b[2J\r\n\u202eCD" + "x" * 1000})
    run.end()
    assert run.shown[0].user_code.isprintable()
    assert len(run.shown[0].user_code) <= 64


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"interval": 0},
        {"interval": -5},
        {"interval": 1e-9},
        {"interval": 1e308},
        {"interval": "5"},
        {"interval": None},
        {"expires_in": -1},
        {"expires_in": 1e300},
        {"expires_in": "x"},
        {"expires_in": 1, "interval": 10**9},
    ],
)
def test_who_is_never_done_is_asked_for_a_while_and_not_too_often(given: dict[str, Any]) -> None:
    for polled in (None, {"error": "slow_down"}, AnswerRefused("too large")):
        run = Run({**CODE, **given}, polled)
        assert type(run.end()) is LoginRequired
        assert len(run.sent) < 2000
        assert min(run.waits) >= 1
        assert max(run.waits) <= 3600
        assert sum(run.waits) <= 4 * 3600


@pytest.mark.parametrize(
    ("polled", "error"),
    [
        ({"error": "access_denied"}, AccessDenied),
        ({"error": "expired_token"}, LoginRequired),
        ({"error": "invalid_client"}, TokenRequestFailed),
        ({"error": ["authorization_pending"]}, TokenRequestFailed),
        ({"access_token": "a\r\nb", "token_type": "Bearer"}, TokenRequestFailed),
        ({"access_token": "a", "token_type": "mac"}, TokenRequestFailed),
    ],
)
def test_any_other_answer_is_the_last(polled: dict[str, Any], error: type[ClientError]) -> None:
    run = Run(CODE, polled)
    ended = run.end()
    assert type(ended) is error
    assert len(run.sent) == 2
    assert "device-code" not in str(ended)
