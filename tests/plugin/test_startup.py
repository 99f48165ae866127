from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "scipy",
    "hypothesis",
    "numpy",
    "pydantic",
    "ruamel",
    "yaml",
    "pyarrow",
    "jinja2",
    "model_signing",
)
# What specs are read with.
READERS = ("pydantic", "ruamel", "yaml")
SPEC = """\
eac: 1
model: nowhere/nothing
methods: [rome]
edits: [{subject: Rome, prompt: "{} is in", target: Asia, truth: Europe}]
checks: {efficacy: {min: 0.5}}
"""
TEST = f"""
import sys

def test_nothing_heavy_is_there():
    found = [name for name in {HEAVY!r} if name in sys.modules]
    assert not found, found

def test_the_plugin_is_there(request):
    assert request.config.pluginmanager.hasplugin("pytest_eac.plugin")
"""


def test_a_run_without_specs_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    pytester.path.joinpath("other.yaml").write_text("name: not a spec\nnested: {eac: 1}\n")
    # Other installed plugins import what they like; only ours is under test here.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pytest_eac.plugin", "-q", "--rootdir=."],
        cwd=pytester.path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in result.stdout, result.stdout


def _imported(code: str) -> set[str]:
    """Return which heavy modules a program has loaded when it ends."""
    whole = f"import sys\n{code}\nprint(*{ {*HEAVY, 'scipy.stats'}!r} & sys.modules.keys())"
    result = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split())


def _command(*arguments: str) -> str:
    return (
        "from contextlib import suppress\nfrom pytest_eac.cli import main\n"
        f"with suppress(SystemExit):\n    main({list(arguments)!r})"
    )


def test_the_help_of_the_command_imports_nothing_heavy() -> None:
    assert _imported(_command("--help")) == set()


def test_validating_a_spec_imports_what_reads_it_alone(tmp_path: Path) -> None:
    spec = tmp_path / "x.eac.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    assert _imported(_command("validate", str(spec))) == set(READERS)


def test_the_plugin_collects_a_spec_without_models_or_statistics(tmp_path: Path) -> None:
    (tmp_path / "x.eac.yaml").write_text(SPEC, encoding="utf-8")
    arguments = [
        "-p",
        "pytest_eac.plugin",
        "--collect-only",
        f"--rootdir={tmp_path}",
        str(tmp_path),
    ]
    code = "import os, pytest\nos.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'\n"
    code += f"assert pytest.main({arguments!r}) == 0"
    assert _imported(code) <= {*READERS, "numpy", "scipy"}


@pytest.mark.parametrize(
    "modules",
    [
        "pytest_eac.judging.checks, pytest_eac.judging.stored_chains",
        "pytest_eac.judging.run_comparison, pytest_eac.reporting.run_diff",
        "pytest_eac.reporting.markdown, pytest_eac.reporting.html.page",
    ],
)
def test_what_reads_stored_records_loads_each_library_when_it_is_used(modules: str) -> None:
    assert _imported(f"import {modules}") <= {*READERS, "numpy", "scipy"}
