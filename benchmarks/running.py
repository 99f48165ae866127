"""What a user waits for: the second run of a spec, and pytest's start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.timing import Result, seconds, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.load import Spec


def second_run(loaded: LoadedModel, spec: Spec) -> Result:
    """All chains of a spec, twice on one cache; the model is loaded already."""
    from pytest_eac import Cache, run_chain

    def run(cache_dir: str) -> None:
        for method in spec.methods:
            run_chain(loaded, spec, method, cache=Cache(Path(cache_dir)))

    with TemporaryDirectory() as folder:
        first, second = (seconds(lambda: run(folder)) for _ in range(2))
    return Result(
        name="second run / first run",
        measured=f"{100 * second / first:.1f} %",
        goal="10 % or less",
        about=f"{spec.name}, {len(spec.edits)} edits, {len(spec.methods)} methods",
    )


def startup(repeats: int = 15) -> Iterator[Result]:
    """What the plugin adds to a pytest run that has nothing to do with it."""
    with TemporaryDirectory() as folder:

        def run(*options: str) -> float:
            command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *options, folder]
            return 1000 * seconds(lambda: subprocess.run(command, capture_output=True, check=False))

        run()
        added = [run() - run("-p", "no:eac") for _ in range(repeats)]
    yield Result(
        name="plugin's share of pytest's start",
        measured=f"{median(added):.0f} ms {spread(added, ' ms')}",
        goal="40 ms or less",
    )
