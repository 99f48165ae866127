"""The abilities' likelihood tasks against lm-eval's Hugging Face backend, in turns in one run.

Both are given the same prompts and candidates of the package's own items. lm-eval reads them in
batches of 1, 8 and 32; the fastest, tried on all items before anything is timed in turns, is what
the abilities are compared with. What lm-eval does before and after its backend is asked (loading,
prompts, metrics) is not in its time.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Result, in_turns, times_faster
from pytest_eac.abilities.by_likelihood import Choices
from pytest_eac.abilities.lm_eval_tasks import calm
from pytest_eac.abilities.tasks import prepare
from pytest_eac.lm.tokens import continuation
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.text.spacing import as_continuation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.loading.load import LoadedModel

_BATCHES = (1, 8, 32)
_TASKS = (("nli", 0), ("sentiment", 0), ("reasoning", 0), ("sentiment", 4))
_ITEMS, _ROUNDS = 16, 3


def abilities(loaded: LoadedModel) -> Iterator[Result]:
    """Time each likelihood task in turns, and all of them together.

    Raises:
        RuntimeError: the two choose differently, so that there is nothing to compare.
    """
    every = []
    for name, shots in _TASKS:
        asked = prepare(loaded, name, AbilityBounds(keep=1, take=_ITEMS, shots=shots)).asked
        if not isinstance(asked, Choices):
            raise TypeError(f"{name} is not asked by likelihood")
        pairs, about = _compare(loaded, asked)
        every.append(pairs)
        label = f"{name}, {shots} shots" if shots else name
        yield _result(label, pairs, about)
    total = [
        (sum(slow for slow, _ in turn), sum(fast for _, fast in turn))
        for turn in zip(*every, strict=True)
    ]
    yield _result("likelihood tasks, all", total, "the same predictions throughout")


def _result(label: str, pairs: list[tuple[float, float]], about: str) -> Result:
    return Result(name=f"{label} / lm-eval", measured=times_faster(pairs), goal="1.5x", about=about)


def _compare(loaded: LoadedModel, asked: Choices) -> tuple[list[tuple[float, float]], str]:
    """Return the seconds of lm-eval and of the abilities in turns, and what was compared."""
    took, batch = min(_tried(loaded, asked, rows) for rows in _BATCHES)
    pairs = in_turns(
        lambda: _by_lm_eval(loaded, asked, batch), lambda: asked.ask(loaded), repeats=_ROUNDS
    )
    return pairs, f"{len(asked.choices)} items; lm-eval: {took:.1f} s in batches of {batch}"


def _tried(loaded: LoadedModel, asked: Choices, rows: int) -> tuple[float, int]:
    start = perf_counter()
    theirs = _by_lm_eval(loaded, asked, rows)
    took = perf_counter() - start
    if tuple(theirs) != asked.ask(loaded).scores:
        raise RuntimeError(f"lm-eval, in batches of {rows}, chooses differently")
    return took, rows


def _by_lm_eval(loaded: LoadedModel, asked: Choices, rows: int) -> list[float]:
    """Score 1 where lm-eval's backend finds the right candidate likeliest by token."""
    with calm():
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        model: Any = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=rows)
        requests = [
            Instance(
                request_type="loglikelihood",
                doc={},
                arguments=(each.prompt, f" {candidate}"),
                idx=index,
            )
            for index, each in enumerate(asked.choices)
            for candidate in each.candidates
        ]
        found = iter([answer for answer, _ in model.loglikelihood(requests)])
    scores = []
    for each in asked.choices:
        means = [
            next(found) / _tokens(loaded, each.prompt, candidate) for candidate in each.candidates
        ]
        scores.append(float(means.index(max(means)) == each.right))
    return scores


def _tokens(loaded: LoadedModel, prompt: str, candidate: str) -> int:
    return len(continuation(loaded.tokenizer, as_continuation(prompt, candidate)))
