"""A chain's edits in other orders, and how far the final weights are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac.cache.entries import Cache
from pytest_eac.lm.layout import find_module
from pytest_eac.measuring.chain import RunOptions, run_chain
from pytest_eac.measuring.metrics import locality
from pytest_eac.measuring.other_orders import OrderRunner
from pytest_eac.measuring.unedited import AskOptions, ask_unedited, rearrange
from pytest_eac.spec.load import load_spec
from tests.conftest import WORLD
from tests.measuring.asking import after, ask

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.editing.sequence import Step
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.spec_file import Match

SPEC = f"""eac: 1
methods: [mine: {{base: rome, layers: [1], contexts: {{texts: ["{{}}"]}}}}]
edits: [{{from: {WORLD}, format: jsonl, take: 3}}]
"""


@pytest.mark.parametrize("match", ["accuracy", "success"])
def test_answers_of_the_written_order_serve_every_other(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], match: Match
) -> None:
    other = (world[2], world[0], world[2])
    whole = ask(tiny_llama, world[:4], match)
    shared, own = rearrange(whole, other), ask(tiny_llama, other, match)
    assert shared.known.scores == own.known.scores
    assert locality(after(shared, 3)) == locality(after(own, 3))
    assert shared.questions == own.questions


def test_how_far_orders_are_apart_is_that_of_their_weights(
    tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "a.eac.yaml"
    path.write_text(SPEC, encoding="utf-8")
    spec, cache = load_spec(path), Cache(tmp_path / "cache")
    (method,) = spec.methods
    unedited = ask_unedited(tiny_llama, spec, AskOptions(cache=cache), report=lambda _: None)
    options = RunOptions(unedited=unedited)
    chain = run_chain(tiny_llama, spec, method, cache=cache, options=options)
    runner = OrderRunner(
        loaded=tiny_llama,
        spec=spec,
        method=method,
        chain=chain,
        unedited=unedited,
        cache=cache,
    )
    weight = find_module(tiny_llama.model, tiny_llama.layout.down.format(1)).weight
    original = weight.detach().clone()  # type: ignore[operator]
    final = {}
    for order in ((2, 1), (1, 2)):

        def watch(_: Step, order: tuple[int, ...] = order) -> None:
            final[order] = weight.detach().clone()  # type: ignore[operator]

        run_chain(tiny_llama, spec.ordered(order), method, options=RunOptions(watch=watch))
    distance = torch.linalg.norm(final[2, 1] - final[1, 2])
    change = torch.linalg.norm(final[1, 2] - original)
    assert runner.apart((2, 1), (1, 2)) == pytest.approx(float(distance / change), rel=1e-4)
    assert runner.apart((1, 2), (1, 2)) == 0.0
    # (1, 2) begins as the written order does, so that only (2, 1) had anything to solve.
    assert [run.solved for run in runner.runs] == [2, 0]
