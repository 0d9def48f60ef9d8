"""The bare wheel is what a protected server or a client installs: it must import with the base dependencies alone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.needs import ROOT

SOURCE = ROOT / "src" / "doorward"


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheel, without any extra, at the locked versions."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv, "./dev installs uv"
    environment = tmp_path_factory.mktemp("bare")
    run(uv, "venv", "-q", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    run(uv, "pip", "install", "-q", "--python", python, "-c", "requirements/dev.txt", wheel)
    return python


@pytest.mark.parametrize(
    "module", ["doorward", "doorward.oauth", "doorward.fetch", "doorward.resource", "doorward.client"]
)
def test_the_bare_wheel_imports(bare_python: Path, module: str, tmp_path: Path) -> None:
    path = SOURCE.joinpath(*module.split(".")[1:])
    if not path.is_dir() and not path.with_suffix(".py").is_file():
        pytest.skip(f"{module} does not exist yet")
    # -I and a foreign folder: what is imported is the installed wheel, not this checkout.
    code = f"import sys, {module}; print(sys.modules[{module!r}].__file__)"
    assert Path(run(bare_python, "-I", "-c", code, cwd=tmp_path).strip()).is_relative_to(bare_python.parent.parent)


def test_importing_doorward_pulls_in_none_of_its_sides(bare_python: Path, tmp_path: Path) -> None:
    code = "import doorward, sys; print(*sorted(name for name in sys.modules if name.startswith('doorward')))"
    assert run(bare_python, "-I", "-c", code, cwd=tmp_path).split() == ["doorward"]


@pytest.mark.parametrize(
    ("folder", "ending"),
    [("web/templates", ".html"), ("web/static", ".css"), ("storage/migrations/versions", ".py")],
)
def test_the_wheel_holds_every_file_the_server_reads(wheel: Path, folder: str, ending: str) -> None:
    if not (SOURCE / folder).is_dir():
        pytest.skip(f"{folder} does not exist yet")
    here = {f"doorward/{path.relative_to(SOURCE)}" for path in (SOURCE / folder).rglob(f"*{ending}")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert here
    assert here - names == set()


def test_the_wheel_says_that_it_is_typed_and_under_which_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "doorward/py.typed" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert [name for name in names if not name.startswith("doorward")] == []
