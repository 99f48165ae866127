"""The contracts on imports catch what they are for, also inside functions."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.sources import copy_sources

if TYPE_CHECKING:
    from pathlib import Path

# Contract -> a module that breaks it, with the import that a function of it makes.
BROKEN = {
    "Only lm and data know Hugging Face": ("atomic_write.py", "import huggingface_hub"),
    "transformers alone uses accelerate": ("lm/layout.py", "import accelerate"),
    "Only one module knows pytest's private parts": (
        "plugin/check_items.py",
        "from _pytest.outcomes import Skipped",
    ),
    "No circle among the modules of any folder": (
        "stats/series.py",
        "from pytest_eac.stats.growth import fit",
    ),
}


# Kinds of numbers: of files by the types of `typed`, of specs by those of `spec.types`.
NUMBERS = {"Count", "Level", "Number", "Share"}


def test_a_name_of_a_class_or_type_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for file in sorted((ROOT / "pytest_eac").rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            name = ""
            if isinstance(node, ast.ClassDef):
                name = node.name.lstrip("_")
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():
                homes.setdefault(name, []).append(file.name)
    assert {name: files for name, files in homes.items() if len(files) > 1}.keys() == NUMBERS


def test_each_contract_is_broken_by_an_import_inside_a_function(tmp_path: Path) -> None:
    pytest.importorskip("importlinter")
    copy_sources("pytest_eac", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, line in BROKEN.values():
        with (tmp_path / "pytest_eac" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n\ndef planted() -> None:\n    {line}\n")
    # The console script would look for the package in the working directory, too.
    run = "import sys; from importlinter.cli import lint_imports_command as run; run()"
    result = subprocess.run(
        [sys.executable, "-c", run, "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    for contract in BROKEN:
        assert f"{contract} BROKEN" in result.stdout, result.stdout + result.stderr
