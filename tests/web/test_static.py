"""The style sheet, the script and the icon: kept for ever under names that change with them; nothing else is served."""

import hashlib
import re

import pytest

from doorward.web.pages import STATIC
from tests.inside import Door


async def addresses(door: Door) -> list[str]:
    html = (await door.call("GET", "/login")).body.decode()
    found: list[str] = re.findall(r'(?:href|src)="(/static/[^"]+)"', html)
    return found


async def test_every_page_names_files_that_are_there(door: Door) -> None:
    found = await addresses(door)
    assert {path.rpartition(".")[2] for path in found} == {"css", "js", "svg"}
    for path in found:
        answer = await door.call("GET", path)
        assert (answer.status, answer.body) == (200, (STATIC / path.rpartition("/")[2]).read_bytes())
        assert answer.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(("suffix", "media"), [(".css", "text/css"), (".js", "text/javascript")])
async def test_style_and_script_are_kept_for_ever_under_a_name_of_their_content(
    door: Door, suffix: str, media: str
) -> None:
    (path,) = [path for path in await addresses(door) if path.endswith(suffix)]
    answer = await door.call("GET", path)
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"
    assert answer.header("content-type") == f"{media}; charset=utf-8"
    assert path.split(".")[-2] == hashlib.sha256(answer.body).hexdigest()[:8]


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.css",
        "/static/assets.json",
        "/static/../pages.py",
        "/static/../../settings.py",
        "/static//etc/passwd",
        "/static/..%2fpages.py",
        "/static/.",
        "/static/app.css/",
        "/static",
    ],
)
async def test_only_what_was_shipped_can_be_asked_for(door: Door, path: str) -> None:
    answer = await door.call("GET", path)
    assert (answer.status, answer.json()["error"]) == (404, "not_found")


async def test_an_answer_does_not_grow_with_the_requests_before_it(door: Door) -> None:
    for path in await addresses(door):
        answers = [await door.call("GET", path) for _ in range(5)]
        assert {len(values) for answer in answers for values in answer.headers.values()} == {1}


async def test_head_is_the_file_without_its_body(door: Door) -> None:
    path = (await addresses(door))[0]
    answer = await door.call("HEAD", path)
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.header("content-length")) > 0
