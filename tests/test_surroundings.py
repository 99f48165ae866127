"""Runs in surroundings that are not the usual ones: locale, time zone, folders, an installation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, TINY_LLAMA, WORLD
from tests.sources import copy_sources, source_files

if TYPE_CHECKING:
    from pathlib import Path

TINY = TINY_LLAMA
METHOD = "[eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}, value: {steps: 2}}]"


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command; ``PATH`` and where Python finds the project are handed on, nothing else."""
    handed_on = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**handed_on, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_spec_runs_in_the_plain_locale_without_a_home_and_in_a_folder_with_an_odd_name(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "Ünter lagen (1) 日本"
    folder.mkdir()
    shutil.copytree(TINY, folder / "mein Modell")
    edit = WORLD.read_text(encoding="utf-8").splitlines()[0]
    (folder / "Fakten é.jsonl").write_text(edit + "\n", encoding="utf-8")
    (folder / "größe 1.eac.yaml").write_text(
        f"eac: 1\nname: größe 日本\nmodel: ./mein Modell\nmethods: {METHOD}\n"
        "edits: [{from: Fakten é.jsonl, format: jsonl}]\nchecks: {efficacy: {min: 0.0}}\n",
        encoding="utf-8",
    )
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)
    result = run(
        *(sys.executable, "-m", "pytest", "größe 1.eac.yaml", "-p", "no:cacheprovider"),
        *("--eac-results=out é.json", f"--eac-cache-dir={tmp_path / 'ca che'}", "--eac-offline"),
        cwd=folder,
        HOME=str(home),
        LC_ALL="C",
        TZ="Asia/Kathmandu",
    )
    assert "1 passed" in result.stdout, result.stdout + result.stderr
    record = json.loads((folder / "out é.json").read_text(encoding="utf-8"))
    assert record["chains"][0]["spec"] == "größe 1.eac.yaml"
    assert list(home.iterdir()) == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, which stay as they are."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pytest_eac", "tests"):
        copy_sources(name, source)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # The environment's own setuptools: nothing is fetched.
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "dist"]
    built = run(sys.executable, "-m", "pip", "wheel", *options, ".", cwd=source)
    assert built.returncode == 0, built.stderr
    [found] = (source / "dist").glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info/" not in name}
    there = source_files(ROOT / "pytest_eac")
    assert names == {f"pytest_eac/{name}" for name in there}


@pytest.mark.slow
def test_the_wheel_works_where_nothing_of_the_project_is_installed(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    options = ["--no-deps", "--quiet", "--target", str(site)]
    installed = run(sys.executable, "-m", "pip", "install", *options, str(wheel), cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    # What it depends on is taken from this environment, without its editable packages.
    python = [sys.executable, "-S", "-c"]
    paths = f"import sys; sys.path[:0] = [{str(site)!r}, {sysconfig.get_path('purelib')!r}]; "
    code = (
        "import pytest_eac, pytest; "
        f"assert pytest_eac.__file__.startswith({str(site)!r}), pytest_eac.__file__; "
        "from pytest_eac.cli import main; "
        "assert main(['init']) == 0; assert main(['validate', '.']) == 0; "
        "from importlib.metadata import distribution; "
        "points = {each.name: each.value for each in distribution('pytest-eac').entry_points}; "
        "assert points == {'eac': 'pytest_eac.plugin', 'pytest-eac': 'pytest_eac.cli:main'}; "
        "options = ['--collect-only', '-q', '-p', 'no:cacheprovider', '--assert=plain']; "
        "sys.exit(pytest.main(['first.eac.yaml', *options]))"
    )
    work = tmp_path / "work"
    work.mkdir()
    (work / "conftest.py").touch()
    (work / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    result = run(*python, paths + code, cwd=work, PYTHONPATH="")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "first.eac.yaml::rome-eac-s0::locality" in result.stdout
