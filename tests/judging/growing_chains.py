"""Chains whose deviation grows by given steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_eac.judging.checks import judge
from pytest_eac.records.run import Norms
from pytest_eac.spec.schema.checks import Checks
from tests.judging.hand_made_chains import COST, chain, checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.records.run import Chain, Verdict

NOISE = (1.2, 0.7, 1.1, 0.9, 1.3, 0.8, 1.05, 0.95, 0.75, 1.25)


def moving(steps: Sequence[float], *, batch: int = 1) -> Chain:
    """A chain whose relative L1 deviation grows by these steps; one a batch."""
    totals = np.cumsum(steps)
    norms = [
        Norms(l1=1000 * t, l1_relative=t, frobenius=10 * t, frobenius_relative=t / 2)
        for t in totals.tolist()
    ]
    return _made(np.abs(steps).tolist(), norms, batch, relative=float(totals[-1]))


def walking(sizes: Sequence[float], *, batch: int = 1) -> Chain:
    """A chain whose steps have these sizes and are at right angles; one a batch."""
    totals = np.sqrt(np.square(sizes).cumsum())
    norms = [
        Norms(l1=30 * t, l1_relative=t / 100, frobenius=t, frobenius_relative=t / 200)
        for t in totals.tolist()
    ]
    return _made(sizes, norms, batch, relative=float(totals[-1]))


def _made(sizes: Sequence[float], norms: Sequence[Norms], batch: int, *, relative: float) -> Chain:
    """A chain with a batch for each step size and the deviation after it."""
    costs = [
        replace(COST, delta_norm=float(size), deviation=each)
        for size, each in zip(sizes, norms, strict=True)
        for _ in range(batch)
    ]
    return replace(chain(checkpoint(len(costs), relative=relative)), per_edit=tuple(costs))


def steps(n: int, exponent: float = 1.0, scale: float = 0.01) -> list[float]:
    means = np.diff(np.arange(n + 1.0) ** exponent)
    return [scale * each * NOISE[k % len(NOISE)] for k, each in enumerate(means)]


def verdict(of: Chain, norm: str = "l1", **limits: Any) -> Verdict:
    checks = Checks.model_validate({"deviation": {"norm": norm, "growth": limits}})
    [found] = judge(of, checks)
    return found


EQUAL = [size for size in NOISE for _ in range(2)]
