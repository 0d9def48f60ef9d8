"""A refresh token family against a small model: whatever is presented, whenever, by whomever (I1, I3, I4, RT-03)."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from doorward.core.models import Client, User
from doorward.core.secrets import RefreshTokens
from doorward.manage import clients, users
from doorward.storage.tokens import find_family
from tests.inside import LOOPBACK, Answer, Door, open_door
from tests.running import ADMIN_EMAIL
from tests.server.steps import REVOKE, TOKEN, VERIFIER, basic, introspect, project_key, refusal, success
from tests.server.test_races import mint_code

T = TypeVar("T")
SECOND, MINUTE, DAY = 1000, 60_000, 86_400_000
LIFE = 900 * SECOND
BEYOND = 30 * SECOND
IDLE, ABSOLUTE = 30 * DAY, 90 * DAY
# Steps of time around every edge that the rules have.
STEPS = [0, 1, SECOND, BEYOND - 1, BEYOND, MINUTE, LIFE - BEYOND, LIFE - 1, LIFE, -MINUTE]
LEAPS = [DAY, 20 * DAY, IDLE - 1, IDLE]
REFUSED = (400, "invalid_grant")


@dataclass
class Model:
    """What the security defaults say of a family, told by when each of its tokens was first used."""

    strict: bool
    started: int
    first_used: list[int] = field(default_factory=list)
    """When each generation before the current one was used for the first time."""
    is_over: bool = False

    @property
    def current(self) -> int:
        return len(self.first_used)

    def expires(self) -> int:
        last = self.first_used[-1] if self.first_used else self.started
        return min(last + IDLE, self.started + ABSOLUTE)

    def present(self, generation: int, now: int) -> int | Literal["refused"]:
        """The generation that is answered, once everything around the family is in order."""
        if self.is_over or now >= self.expires():
            return "refused"
        if generation == self.current:
            self.first_used.append(now)
            return self.current
        if self.is_forgiven(generation, now):
            return generation + 1
        self.is_over = True
        return "refused"

    def is_forgiven(self, generation: int, now: int) -> bool:
        if self.strict or now >= self.first_used[generation] + LIFE:
            return False
        successor = generation + 1
        if successor == self.current:
            return True
        return successor + 1 == self.current and now < self.first_used[successor] + BEYOND


class TokenFamily(RuleBasedStateMachine):
    """One family of one client, in a server that all examples share."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    door: ClassVar[Door]
    key: ClassVar[str]
    owner: ClassVar[User]
    known: ClassVar[dict[bool, tuple[Client, str | None]]]
    strict: ClassVar[bool]

    model: Model
    tokens: list[str]
    access: str

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @property
    def now(self) -> int:
        return self.door.clock.now

    @property
    def client(self) -> Client:
        return self.known[self.strict][0]

    def header(self, *, strict: bool) -> dict[str, str]:
        client, secret = self.known[strict]
        return basic(client.client_id, secret) if secret else {}

    @initialize()
    def get_tokens(self) -> None:
        self.model = Model(self.strict, self.now)
        self.issued = self.now // SECOND
        code, _ = self.run(mint_code(self.door, self.client))
        form = {"grant_type": "authorization_code", "client_id": self.client.client_id, "code": code}
        header = self.header(strict=self.strict)
        answer = self.run(self.door.post_form(TOKEN, {**form, "code_verifier": VERIFIER}, header))
        self.tokens, self.access = [success(answer)["refresh_token"]], answer.json()["access_token"]

    def post(self, token: str, **fields: str) -> Answer:
        form = {"grant_type": "refresh_token", "client_id": self.client.client_id, "refresh_token": token, **fields}
        return self.run(self.door.post_form(TOKEN, form, self.header(strict=self.strict)))

    @rule(leap=st.sampled_from(LEAPS))
    def let_days_pass(self, leap: int) -> None:
        self.door.clock.now += leap

    @rule(
        script=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from([0, 0, 0, 1, 2, 3])), min_size=4, max_size=12)
    )
    def use(self, script: list[tuple[int, int]]) -> None:
        for wait, back in script:
            if self.model.is_over or self.now >= self.model.expires():
                self.get_tokens()
            self.door.clock.now += wait
            self.present(back)

    def present(self, back: int) -> None:
        generation = max(len(self.tokens) - 1 - back, 0)
        answer = self.post(self.tokens[generation])
        expected = self.model.present(generation, self.now)
        if expected == "refused":
            assert refusal(answer) == REFUSED
            return
        token = success(answer)["refresh_token"]
        if expected == len(self.tokens):
            assert token not in self.tokens
            self.tokens.append(token)
        assert token == self.tokens[expected]
        self.access, self.issued = answer.json()["access_token"], self.now // SECOND

    @rule(fields=st.sampled_from([{"scope": "telepathy"}, {"resource": "https://other.example.com/mcp"}]))
    def ask_for_too_much(self, fields: dict[str, str]) -> None:
        assert self.post(self.tokens[-1], **fields).status == 400

    @rule(back=st.integers(0, 3))
    def present_as_somebody_else(self, back: int) -> None:
        other, _ = self.known[not self.strict]
        token = self.tokens[max(len(self.tokens) - 1 - back, 0)]
        form = {"grant_type": "refresh_token", "client_id": other.client_id, "refresh_token": token}
        answer = self.run(self.door.post_form(TOKEN, form, self.header(strict=not self.strict)))
        assert refusal(answer) == REFUSED

    @rule()
    def present_what_nobody_was_given(self) -> None:
        family, generation = RefreshTokens.parse(self.tokens[-1]) or pytest.fail("no refresh token")
        stored = self.run(self.door.context.database.read(find_family, self.door.project.project_id, family))
        assert stored is not None
        forged = RefreshTokens(b"\x00" * 32).derive(family, stored.salt, generation)
        assert refusal(self.post(forged)) == REFUSED

    @rule(back=st.integers(0, 2))
    def present_while_its_person_is_disabled(self, back: int) -> None:
        self.run(users.change(self.door.operator, self.owner, enabled=False))
        assert refusal(self.post(self.tokens[max(len(self.tokens) - 1 - back, 0)])) == REFUSED
        self.run(users.change(self.door.operator, self.owner, enabled=True))

    @rule(back=st.integers(0, 2))
    def use_it_when_it_is_over(self, back: int) -> None:
        self.present(back)

    @precondition(lambda self: len(self.tokens) > 1)
    @rule(back=st.integers(0, 2))
    def give_it_back(self, back: int) -> None:
        token = self.tokens[max(len(self.tokens) - 1 - back, 0)]
        form = {"client_id": self.client.client_id, "token": token}
        assert self.run(self.door.post_form(REVOKE, form, self.header(strict=self.strict))).status == 200
        self.model.is_over = True

    @invariant()
    def the_stored_family_is_the_models(self) -> None:
        family, _ = RefreshTokens.parse(self.tokens[0]) or pytest.fail("no refresh token")
        stored = self.run(self.door.context.database.read(find_family, self.door.project.project_id, family))
        assert stored is not None
        assert stored.generation == self.model.current == len(self.tokens) - 1
        assert (stored.revoked_at is not None) is self.model.is_over

    @invariant()
    def an_access_token_lives_as_long_as_its_grant(self) -> None:
        told = self.run(introspect(self.door, self.access, self.key))
        in_time = self.issued <= self.now // SECOND < self.issued + LIFE // SECOND
        assert told["active"] is (in_time and not self.model.is_over)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[type[TokenFamily]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def lay_ground() -> None:
            door = await stack.enter_async_context(open_door(tmp_path / "data"))
            TokenFamily.door, TokenFamily.key = door, await project_key(door, "introspect")
            TokenFamily.owner = await users.get(door.operator, door.project, ADMIN_EMAIL)
            TokenFamily.known = {
                strict: await clients.add(door.operator, door.project, (LOOPBACK,), confidential=strict)
                for strict in (False, True)
            }

        runner.run(lay_ground())
        TokenFamily.loop = runner.get_loop()
        yield TokenFamily
        runner.run(stack.aclose())


@pytest.mark.parametrize("strict", [False, True], ids=["public", "confidential"])
@pytest.mark.parametrize("examples", [60, pytest.param(1500, marks=pytest.mark.long)])
def test_a_family_does_what_its_model_says_rt_03_i1_i3_i4(
    machine: type[TokenFamily], examples: int, *, strict: bool
) -> None:
    machine.strict = strict
    case = machine.TestCase
    case.settings = settings(deadline=None, max_examples=examples, stateful_step_count=12)
    case("runTest").runTest()
