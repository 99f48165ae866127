from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "scipy",
    "hypothesis",
    "numpy",
    "pydantic",
    "ruamel",
    "model_signing",
)
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
