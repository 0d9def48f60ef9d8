"""Ends a rotation of the master key at every line it runs, and looks at what is left each time.

Run as a process of its own, which has no threads when it forks: `python -m tests.fault.killing FOLDER`. Prints what
was seen as one JSON object.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import doorward.manage.master_key
import doorward.storage.encryption
import doorward.storage.master_keys
import doorward.storage.projects
import doorward.storage.signing_keys
from doorward.core.rotation import signing_key_purpose
from doorward.core.vault import name_master_key
from doorward.manage import master_key
from doorward.manage.operator import get_project
from doorward.storage.master_keys import KeyFile
from doorward.storage.projects import list_server_secrets
from doorward.storage.signing_keys import list_signing_keys
from tests.fault.ground import lay_ground, opened

WATCHED = {
    str(module.__file__)
    for module in (
        doorward.manage.master_key,
        doorward.storage.encryption,
        doorward.storage.master_keys,
        doorward.storage.projects,
        doorward.storage.signing_keys,
    )
}
MAX_LINES = 1000


async def rotate(folder: Path) -> None:
    async with opened(folder) as (store, operator):
        await master_key.rotate(operator, await get_project(operator), store.key_file)


def rotate_until(folder: Path, line: int) -> None:
    """Rotate, and be killed at the given line of the code that does it."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename not in WATCHED:
            return None
        seen += event == "line"
        if seen == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    asyncio.run(rotate(folder))


async def read_secrets(folder: Path) -> tuple[dict[str, str], set[bytes]]:
    """Every secret in clear, and the names of the keys they are under; raises when the folder does not open."""
    async with opened(folder) as (store, operator):
        project = await get_project(operator)
        purposes = dict(await store.database.read(list_server_secrets))
        for key in await store.database.read(list_signing_keys, project.project_id, 0):
            purposes[signing_key_purpose(project.project_id, key.kid)] = key.private_ciphertext
        secrets = {purpose: store.vault.decrypt(sealed, purpose).hex() for purpose, sealed in purposes.items()}
        return secrets, {sealed[4:12] for sealed in purposes.values()}


def killed_folders(template: Path) -> Iterator[Path]:
    """A folder for each line, left as the killed process left it; ends with the rotation that was not killed."""
    for line in range(1, MAX_LINES):
        folder = template.with_name(f"killed-{line}")
        shutil.copytree(template, folder)
        child = os.fork()
        if child == 0:
            rotate_until(folder, line)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        yield folder
    raise AssertionError("the rotation has no end")


def describe(folder: Path, old: bytes, under: set[bytes]) -> str:
    """Which keys are in the file, and which one everything is under."""
    named = ["old" if key == old else "new" for key in KeyFile(folder).read()]
    assert len(under) == 1, "secrets are under several keys"
    return f"{'+'.join(named)} in the file, {'old' if under == {name_master_key(old)} else 'new'} in the database"


def main(parent: Path) -> None:
    template = parent / "data"
    asyncio.run(lay_ground(template))
    secrets, _ = asyncio.run(read_secrets(template))
    (old,) = KeyFile(template).read()
    states: dict[str, int] = {}
    for folder in killed_folders(template):
        found, under = asyncio.run(read_secrets(folder))
        assert found == secrets, folder
        state = describe(folder, old, under)
        states[state] = states.get(state, 0) + 1
        asyncio.run(rotate(folder))
        found, under = asyncio.run(read_secrets(folder))
        (only,) = KeyFile(folder).read()
        assert found == secrets, folder
        assert under == {name_master_key(only)}, folder
        assert only != old, folder
        assert sorted(path.name for path in folder.iterdir()) == ["doorward.db", "master.key"], folder
        shutil.rmtree(folder)
    print(json.dumps(states))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
