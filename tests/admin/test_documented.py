"""The page about the admin API: its commands work as written, and nothing is left out."""

import re
import shlex

import pytest

from doorward.admin.operations import OPERATIONS
from doorward.admin.problems import PROBLEMS
from doorward.core.admin_access import AREAS
from tests.admin.api import Api
from tests.inside import Door
from tests.needs import ROOT

PAGE = (ROOT / "docs" / "admin-api.md").read_text(encoding="utf-8")
CURLS = re.findall(r"```\n(curl .*)\n```", PAGE)


def parse_curl(line: str, token: str) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers and body of a command."""
    words = iter(shlex.split(line.replace("$TOKEN", token).replace("$ISSUER", ""))[1:])
    method, path, headers, body = "GET", "", {}, b""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words).encode()
        else:
            path = word
    return method, path, headers, body


@pytest.mark.parametrize("line", CURLS)
async def test_a_command_of_the_page_works_as_it_is_written(door: Door, owner: Api, line: str) -> None:
    method, path, headers, body = parse_curl(line, owner.secret)
    answer = await door.call(method, path, body, headers)
    assert answer.status in (200, 201), answer.body
    assert answer.json()


def test_the_page_has_commands_to_try() -> None:
    assert len(CURLS) == 5


def test_every_operation_area_and_code_is_on_the_page() -> None:
    told = [f"`{operation.method} {operation.path}`" for operation in OPERATIONS]
    told += [f"| `{area}` |" for area in AREAS]
    told += [f"| `{code}` | {status} |" for code, (status, _) in PROBLEMS.items()]
    assert [words for words in told if words not in PAGE] == []
