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

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.spec import Spec


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


def judged_again(repeats: int = 5) -> Iterator[Result]:
    """A whole pytest run over stored records: no model, whatever it was."""
    from pytest_eac import load_model, load_spec, run_chain
    from pytest_eac.records.run import Record
    from pytest_eac.store import write_record

    root = Path(__file__).parents[1] / "fixtures"
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small.eac.yaml").write_text(
            "eac: 1\nmethods: {quick: {base: ft, layers: [1], update: {steps: 1}}}\n"
            f"edits: [{{from: {root / 'world.jsonl'}, format: jsonl}}]\nsequence: {{batch: 42}}\n"
            "checks: {retention: {min: 0}, locality: {min: 0}, deviation: {max_relative: 9}}\n"
        )
        spec = load_spec(folder / "small.eac.yaml")
        chain = run_chain(load_model(str(root / "tiny-llama")), spec, spec.methods[0])
        write_record(folder / "r.json", Record(environment={}, chains=(chain,)))
        command = [sys.executable, "-m", "pytest", "-q", "--eac-from-results", "r.json"]

        def run(*options: str) -> float:
            whole = [*command, *options]
            return seconds(
                lambda: subprocess.run(whole, cwd=folder, capture_output=True, check=True)
            )

        run()
        alone = [run() for _ in range(repeats)]
        run("--eac-baseline", "r.json", "--eac-update-baseline")
        against = [run("--eac-baseline", "r.json") for _ in range(repeats)]
    for about, times in (("", alone), ("with a baseline", against)):
        yield Result(
            name="judging stored records, pytest's start included",
            measured=f"{median(times):.2f} s {spread(times, ' s')}",
            goal="2 s or less",
            about=about,
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
