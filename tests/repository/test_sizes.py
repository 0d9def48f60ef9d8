"""Files and functions stay small enough to be read in one go: 500 and 60 lines, with no list of exceptions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.repository.tree import read_texts

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

Span = tuple[str, int, int]  # name, first line, last line


def find_python_functions(source: str) -> Iterator[Span]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, node.end_lineno or node.lineno


def find_shell_functions(source: str) -> Iterator[Span]:
    for match in re.finditer(r"^(\w+)\(\) \{\n.*?^\}$", source, re.MULTILINE | re.DOTALL):
        first = source.count("\n", 0, match.start()) + 1
        yield match[1], first, first + match[0].count("\n")


def read_programs() -> Iterator[tuple[Path, str, Iterator[Span]]]:
    for path, source in read_texts():
        if path.suffix == ".py":
            yield path, source, find_python_functions(source)
        elif path.suffix == ".sh" or re.match(r"#!.*\b(ba)?sh\b", source):
            yield path, source, find_shell_functions(source)


def test_no_file_is_over_500_lines() -> None:
    sizes = {str(path): len(source.splitlines()) for path, source, _ in read_programs()}
    assert {path: lines for path, lines in sizes.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_over_60_lines() -> None:
    too_long = [
        f"{path}:{first}: {name} has {last - first + 1} lines"
        for path, _, functions in read_programs()
        for name, first, last in functions
        if last - first + 1 > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_the_size_check_sees_this_repository() -> None:
    seen = {str(path) for path, _, _ in read_programs()}
    assert {"dev", ".ci/run", "src/doorward/__init__.py", "tests/repository/test_sizes.py"} <= seen


def test_the_length_of_a_function_counts_from_def_to_its_last_line() -> None:
    assert list(find_python_functions("@mark\ndef f():\n    a = 1\n    return a\n")) == [("f", 2, 4)]
    assert list(find_shell_functions("x=1\ng() {\n  echo\n}\n")) == [("g", 2, 4)]
