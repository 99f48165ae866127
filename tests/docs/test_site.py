from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_eac.cli import COMMANDS
from reference_pages.options import options_page
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(
        [*command, "--config-file", str(config), "--site-dir", str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_is_built_without_a_broken_link(tmp_path: Path) -> None:
    built = build(ROOT / "mkdocs.yml", tmp_path)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "verdicts.html").read_text(encoding="utf-8")
    assert 'href="metrics.html"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<h1" in page
    api = (tmp_path / "reference" / "api.html").read_text(encoding="utf-8")
    assert 'id="pytest_eac.Method"' in api
    assert "an editing method, as data" in api.lower()
    assert ":class:" not in api
    index = json.loads((tmp_path / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert "reference/api.html#pytest_eac.WeightDelta" in {
        each["location"] for each in index["docs"]
    }


def test_a_mention_of_a_page_that_is_not_there_fails(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\nSee docs/nowhere.md.\n", encoding="utf-8")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:\n  - Home")[0]
    hook = ROOT / "reference_pages" / "links.py"
    (tmp_path / "mkdocs.yml").write_text(text.replace("reference_pages/links.py", str(hook)))
    built = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"])
def test_every_link_of_a_page_of_the_root_leads_to_a_file(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [each for each in re.findall(r"\]\(([^)#]+)", text) if "://" not in each]
    assert links
    assert [each for each in links if not (ROOT / each).exists()] == []


def test_every_sentence_about_security_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    said = [row for row in rows if row != "| what holds | test |"]
    assert len(said) > 20
    for row in said:
        sentence, _, tests = row.strip("| ").rpartition(" | ")
        assert sentence.endswith("."), row
        names = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", tests)
        assert names, row
        for file, name in names:
            assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_option_and_command_that_a_page_names_exists(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    known = set(re.findall(r"--eac-[a-z-]+", options_page()))
    assert set(re.findall(r"--eac-[a-z-]*[a-z]", text)) <= known
    assert set(re.findall(r"(?:`|^    |^)pytest-eac ([a-z]+)", text, re.MULTILINE)) <= set(COMMANDS)
