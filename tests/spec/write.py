"""Writes the two pages that are made of the manifest: `./dev docs`."""

from tests.needs import ROOT
from tests.spec.manifest import Row, find_differing, find_shown, read_divergences, read_sections

STANDARDS = """\
# What we are held to, and where it is shown

Written by `./dev docs` from `tests/spec/requirements.toml` and the names of tests; change those, not this page.

The ids are those of our checklist of MCP authorization (revisions 2025-03-26 to 2026-07-28, OAuth 2.1 and the RFCs they
draw on) and of the choices it leaves (C), and of our list of threats (T) and invariants (I). A test that shows a row
ends its name in the row's id.

- *who* is bound: AS the authorization server, RS a protected server, CL a client, PX a proxy, IdP an identity provider
- *level* is the word of the source; with a `*` it is our own rule
- *state*: *differs* is explained in [where we differ](divergences.md), *later* names a part that is not built yet,
  *elsewhere* names who else is bound
- *where* is a file below `tests/` and a test in it
"""

DIVERGENCES = """\
# Where we differ from the texts, and what they leave open

Each line is a choice with a reason. Requirement texts say MUST and SHOULD; real clients and real attacks have the last
word. Written by `./dev docs` from `tests/spec/divergences.toml`; everything else is in
[what we are held to](standards.md).

| where | the text | Doorward | why |
|---|---|---|---|
"""


def render_state(row: Row) -> str:
    differing = find_differing().get(row.id, ())
    if differing:
        return "differs: " + "; ".join(divergence.where for divergence in differing)
    if row.later:
        return f"later: {row.later}"
    if row.elsewhere:
        return f"elsewhere: {row.elsewhere}"
    return "shown"


def render_row(row: Row) -> str:
    where = "<br>".join(f"`{test}`" for test in find_shown().get(row.id, ()))
    bound = (row.role, row.level) if row.role else ()
    return f"| {' | '.join((row.id, *bound, row.title, render_state(row), where))} |\n"


def render_standards() -> str:
    page = STANDARDS
    for section in read_sections():
        columns = ["id", *(("who", "level") if section.rows[0].role else ()), "what", "state", "where"]
        page += f"\n## {section.title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
        page += "".join(map(render_row, section.rows))
    return page


def render_divergences() -> str:
    return DIVERGENCES + "".join(
        f"| {divergence.where} | {divergence.text} | {divergence.doorward} | {divergence.why} |\n"
        for divergence in read_divergences()
    )


PAGES = {"standards.md": render_standards, "divergences.md": render_divergences}


def write_page(name: str) -> None:
    page = ROOT / "docs" / name
    written = PAGES[name]()
    if name == "divergences.md":
        # A line that was written into the page itself would be lost without a word.
        for line in page.read_text(encoding="utf-8").splitlines():
            if line not in written.splitlines():
                print(f"gone from docs/{name}: {line}")
    page.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        write_page(page)
