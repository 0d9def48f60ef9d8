"""A test that does not run proves nothing."""

import re
from pathlib import Path

from tests.needs import ROOT
from tests.repository.tree import read_texts


def test_no_test_expects_to_fail_or_is_skipped_for_good() -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in read_texts()
        if path.parts[0] == "tests" and path.suffix == ".py" and path != Path(__file__).relative_to(ROOT)
        for match in re.finditer(r"pytest\.xfail\(|mark\.xfail|mark\.skip\b", text)
    ]
    assert found == []
