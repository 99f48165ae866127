"""Files for people and services that work on the project say what the package says."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

import pytest_eac
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_has_the_version_of_the_package() -> None:
    assert read_yaml("CITATION.cff")["version"] == pytest_eac.__version__


def test_ci_runs_every_python_that_the_package_claims() -> None:
    claimed = re.findall(
        r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE
    )
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    [whole] = [
        step["with"]["python-version"]
        for step in jobs["everything"]["steps"]
        if "setup-python" in step.get("uses", "")
    ]
    assert claimed == [whole, *jobs["test"]["strategy"]["matrix"]["python"]]


def test_news_fragments_go_under_the_headings_of_the_changelog() -> None:
    newest = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    types = {each["directory"]: each["name"] for each in PROJECT["tool"]["towncrier"]["type"]}
    assert set(re.findall(r"^### (.+)$", newest, re.MULTILINE)) <= set(types.values())
    guide = (ROOT / "changelog.d" / "README.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", guide, re.MULTILINE)) == types


def test_hooks_run_the_pinned_tools() -> None:
    """No hook brings a version of its own: constraints.txt is the only place."""
    [local] = read_yaml(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in local["hooks"])


def test_the_architecture_names_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+(?:/|\.py))`", text)
    inside = [each for each in named if not (ROOT / each).exists()]
    package = ROOT / "pytest_eac"
    missing = [
        each
        for each in inside
        if not (package / each).exists()
        and not any(package.glob(f"*/*/{each}"))
        and not any(package.glob(f"*/{each}"))
    ]
    assert named
    assert missing == []
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"`{room}/`" not in text} == set()
