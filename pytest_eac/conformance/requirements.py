"""What the tests of a method require of a sequence of edits, each with what to do if it fails."""

from collections.abc import Mapping

import torch

from pytest_eac.conformance.trial import SequenceResult, Trial
from pytest_eac.editing.interface import Solved
from pytest_eac.lm.weights import WeightDelta

LEAST_RISE = 1e-3
"""Log-probability: more than rounding, less than the most cautious method gives."""


def require_rise(
    trial: Trial,
    run: SequenceResult,
    did: str,
    *,
    expected: str,
    remedy: str,
    number: int = 0,
    since: int | None = None,
) -> None:
    """Fail unless a target has become likelier.

    Args:
        trial: the method.
        run: what it did.
        did: the same in words.
        expected: what should have come of it.
        remedy: what to do about it.
        number: which of the edits asked for.
        since: from which update on; by default, from before all of them.
    """
    edit, after = run.asked[number], run.after[-1][number]
    before = (run.before if since is None else run.after[since])[number]
    if after < before + LEAST_RISE:
        trial.fail(
            f"{did}: the log-probability of {edit.target!r} after {edit.prompt!r} was "
            f"{before:.4f} and is {after:.4f}",
            expected,
            remedy,
        )


def require_kept(trial: Trial, run: SequenceResult, did: str, expected: str) -> None:
    """Fail if the second update took more than half of what the first one had gained."""
    edit, gained, kept = run.asked[0], run.gain(update=0), run.gain()
    if kept < gained / 2:
        trial.fail(
            f"made an edit and {did}: the log-probability of {edit.target!r} after "
            f"{edit.prompt!r} had risen by {gained:.4f} and is now {kept:.4f} above the first",
            expected,
            "each update starts from the model as it is, and adds to what is there",
        )


def require_state(trial: Trial, solved: Solved) -> None:
    """Fail unless the state is a mapping of names to finite tensors."""
    state: object = solved.state
    wrong = f"a {type(state).__name__}" if not isinstance(state, Mapping) else ""
    for name, value in state.items() if isinstance(state, Mapping) else ():
        if not isinstance(value, torch.Tensor):
            wrong = f"{name!r} as a {type(value).__name__}"
        elif value.is_floating_point() and not bool(torch.isfinite(value).all()):
            wrong = f"{name!r} with a NaN or an infinity in it"
    if wrong:
        trial.fail(
            f"returned as its state: {wrong}",
            "a mapping of names to finite tensors",
            "return Solved(deltas=..., state={'keys': keys}); scalars as torch.tensor(3.0)",
        )


def difference(one: tuple[WeightDelta, ...], other: tuple[WeightDelta, ...]) -> str:
    """Say how two lists of changes differ, if they do."""
    paths = [[delta.module for delta in deltas] for deltas in (one, other)]
    if paths[0] != paths[1]:
        return f"changes of {', '.join(paths[0])}, then of {', '.join(paths[1])}"
    for a, b in zip(one, other, strict=True):
        if not torch.equal(a.dense, b.dense):
            most = float((a.dense - b.dense).abs().max())
            return f"the changes of {a.module} are up to {most:.3g} apart"
    return ""
