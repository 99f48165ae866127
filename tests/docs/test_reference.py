from __future__ import annotations

import re
from importlib import import_module

import pytest

import pytest_eac
from pytest_eac import strategies
from reference_pages.pages import REFERENCE, pages

PAGES = pages()
API = "api.md"  # written by hand; the site fills it from the docstrings


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "run `make reference` and commit what it writes"


def test_there_is_no_other_page() -> None:
    assert {file.name for file in REFERENCE.iterdir()} == {*PAGES, API}


def test_the_api_page_has_every_public_name_once() -> None:
    text = (REFERENCE / API).read_text(encoding="utf-8")
    listed = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    names = [f"pytest_eac.{name}" for name in pytest_eac.__all__ if name != "__version__"]
    names += [f"pytest_eac.strategies.{name}" for name in strategies.__all__]
    assert sorted(listed) == sorted([*names, "pytest_eac.plugin.hookspecs"])


@pytest.mark.parametrize("name", pytest_eac.__all__)
def test_a_public_name_comes_with_the_package(name: str) -> None:
    found = getattr(pytest_eac, name)
    if name != "__version__":
        assert found is getattr(import_module(found.__module__), name)
        assert found.__doc__


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("keys.md", "| `ratio` | number above 0 to 1 | `0.2` | Share of the dimensions kept"),
        ("keys.md", "| `subject` | text | required |"),
        ("options.md", "| `--eac-limit-edits=N` | `eac_limit_edits` | use only the first N edits"),
        ("commands.md", "## `pytest-eac stats build`"),
        ("methods.md", "| `rome` | `rome-eac` | one | one | read, or none |"),
        ("results.md", "| `swallowed` | `Share` | share of the entries meant to move"),
    ],
)
def test_it_says_what_a_reader_looks_for(page: str, line: str) -> None:
    assert line in PAGES[page]
