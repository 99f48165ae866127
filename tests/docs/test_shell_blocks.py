"""Every shell block of the tutorial and the README runs, and shows what is printed below it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, USER_CACHE
from tests.sources import copy_sources

_BLOCK = re.compile(
    r"(?:^<!-- exit code (\d) -->\n)?^```(sh|text|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL
)
_NAMED = re.compile(r"# ([\w.-]+\.eac\.yaml)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A shell block, the files that stand before it, and what it is said to print."""

    script: str
    code: int
    files: tuple[tuple[str, str], ...]
    shown: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """Read a page: YAML that begins with its file's name is saved, a text block is output."""
    found: list[Block] = []
    files: list[tuple[str, str]] = []
    for code, language, body in _BLOCK.findall(text):
        if language == "sh":
            found.append(Block(script=body, code=int(code or 0), files=tuple(files), shown=()))
            files = []
        elif language == "yaml" and (named := _NAMED.match(body)):
            files.append((named[1], body))
        elif language == "text" and found:
            last = found[-1]
            found[-1] = Block(
                script=last.script, code=last.code, files=last.files, shown=tuple(body.splitlines())
            )
    return found


def looks_like(line: str, printed: str) -> bool:
    """Whether a line was printed; spaces, and numbers with a point, may be others."""
    words = [re.escape(word) for word in re.split(r"\d+\.\d+", " ".join(line.split()))]
    return re.search(r"\d+\.\d+".join(words), " ".join(printed.split())) is not None


def run(block: Block, folder: Path, home: Path) -> tuple[Path, str]:
    """Run a block; returns the folder that it ends in, and what it printed."""
    for name, text in block.files:
        (folder / name).write_text(text, encoding="utf-8")
    where = home / "where"
    script = f"set -eu\ntrap 'pwd > {where}' EXIT\n{block.script}"
    # pip says what it would do: what it asks for has to be there already.
    pip = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    # A slow machine reports its progress, in the middle of what a page shows.
    (home / "quiet.py").write_text(
        "from pytest_eac.plugin import progress\nprogress.EVERY = float('inf')\n", encoding="utf-8"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    more |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{home}", "PYTEST_ADDOPTS": "-p quiet"}
    more |= {"PYTEST_EAC_CACHE": str(USER_CACHE)}  # what other tests of the real model use
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **pip, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == block.code, f"{block.script}\n{printed}"
    return Path(where.read_text(encoding="utf-8").strip()), printed


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/tutorial.md", "README.md"])
def test_every_shell_block_runs_and_prints_what_is_shown(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("pytest_eac", "specs"):
        copy_sources(name, folder)
    found = blocks((ROOT / page).read_text(encoding="utf-8"))
    assert len(found) >= 2
    for block in found:
        if block.script.startswith("make "):
            continue
        folder, printed = run(block, folder, tmp_path)
        missing = [line for line in block.shown if not looks_like(line, printed)]
        assert missing == [], f"{block.script}\n{printed}"


def test_numbers_may_differ_and_words_may_not() -> None:
    assert looks_like("rome  1 100.0%  0.108", "rome 1  99.5% 0.1")
    assert not looks_like("rome  1 100.0%  0.108", "memit 1  99.5% 0.1")
    assert not looks_like("1 failed, 10 passed", "10 passed")
