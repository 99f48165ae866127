from __future__ import annotations

import pytest

from documentation.pages import REFERENCE, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "run `make reference` and commit what it writes"


def test_there_is_no_other_page() -> None:
    assert {file.name for file in REFERENCE.iterdir()} == set(PAGES)


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("keys.md", "| `ratio` | number above 0 to 1 | `0.2` | Share of the dimensions kept"),
        ("keys.md", "| `subject` | text | required |"),
        ("options.md", "| `--eac-limit-edits=N` | `eac_limit_edits` | use only the first N edits"),
        ("commands.md", "## `pytest-eac stats build`"),
        ("methods.md", "| `rome` | `rome-eac` | one | one | read |"),
        ("results.md", "| `swallowed` | `Share` | share of the entries meant to move"),
    ],
)
def test_it_says_what_a_reader_looks_for(page: str, line: str) -> None:
    assert line in PAGES[page]
