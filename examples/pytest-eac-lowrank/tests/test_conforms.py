"""The method keeps the promises that a sequence of edits relies on."""

from __future__ import annotations

import subprocess
import sys


def test_the_method_conforms() -> None:
    suite = ["-m", "pytest", "--pyargs", "pytest_eac.conformance", "--eac-method", "low-rank-ft"]
    run = subprocess.run([sys.executable, *suite], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
