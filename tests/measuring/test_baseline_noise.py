"""A run repeated with other evaluation batches is no regression."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from pytest_eac import Cache, load_spec, run_chain
from pytest_eac.cache.kinds import MEASUREMENTS, clear
from pytest_eac.judging.regression import judge_regression
from pytest_eac.scoring import answers
from pytest_eac.spec.metrics import OF_EDITED
from tests.conftest import WORLD

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Chain

# Tokens in one pass.
BUDGETS = [*range(32, 176, 8), 1024, 4096]


@pytest.mark.slow
def test_twenty_runs_with_other_batch_sizes_raise_no_alarm(
    tiny_llama: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec_file = tmp_path / "quick.eac.yaml"
    spec_file.write_text(
        f"eac: 1\nmethods: {{quick: {{base: ft, layers: [1], update: {{steps: 1}}}}}}\n"
        f"edits: [{{from: {WORLD}, format: jsonl, take: 12}}]\nsequence: {{batch: 12}}\n"
    )
    spec = load_spec(spec_file)

    def run() -> Chain:
        clear(tmp_path / "cache", MEASUREMENTS)  # what was edited stays, what was asked does not
        return run_chain(tiny_llama, spec, spec.methods[0], cache=Cache(tmp_path / "cache"))

    baseline = run()
    for budget in BUDGETS:
        for function in (answers.force, answers.force_ids, answers.generate):
            defaults = inspect.unwrap(function).__kwdefaults__
            monkeypatch.setitem(defaults, "budget", budget)
        again = run()
        assert again.cached_measurements == 0
        for metric in OF_EDITED:
            tolerance = 1e-9 if metric == "deviation" else 0.0
            verdict = judge_regression(baseline, again, metric, tolerance)
            assert verdict.outcome == "passed", verdict.message
