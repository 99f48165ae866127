"""Methods that write edits more or less strongly: what is kept at which deviation, by a model.

An edit is kept if the strength is enough for it: what it takes differs from edit to edit, and a
little from chain to chain. Every edit adds a step in a direction of its own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_eac.stats.matched import ShareCurve

STRENGTHS = np.array([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How what is kept depends on the strength.

    Attributes:
        steep: how fast edits are kept with growing strength.
        base: the logit of the share that is kept at strength 1/4, on average edits.
        never: the share of edits that no strength makes hold.
        harm: how much strong edits harm the others.
        tokens: of how many tokens an answer is; some are right before others.
    """

    steep: float = 1.5
    base: float = 1.5
    never: float = 0.0
    harm: float = 0.0
    tokens: int = 1


def draw(
    rng: np.random.Generator,
    n: int,
    situation: Situation,
    *,
    weaker: float = 1.0,
    less: float = 1.0,
    steeper: float = 1.0,
) -> tuple[ShareCurve, ShareCurve]:
    """Return two methods on the same n edits.

    Args:
        rng: the generator.
        n: how many edits there are.
        situation: what both have in common.
        weaker: how strongly the second method writes with the same options: it lies elsewhere on
            the same curve.
        less: its deviation over the first one's where both keep the same: its curve.
        steeper: how much faster its edits are kept with growing strength: where they are, there is
            no single ratio, and that of ``less`` holds where about half is kept.
    """
    needed, never = rng.logistic(size=n), rng.random(n) < situation.never
    size = 0.3 * rng.normal(size=n)

    def side(strengths: Any, less: float, steeper: float = 1.0) -> ShareCurve:
        shape = (len(strengths), n)
        reached = situation.steep * np.log(4 * strengths)[:, None] + situation.base
        reached = steeper * reached + needed
        reached = reached - situation.harm * (strengths**2)[:, None] + 0.7 * rng.normal(size=shape)
        scores = np.mean([reached > -each for each in range(situation.tokens)], axis=0)
        scores = np.where(never, 0.0, scores)
        steps = (less * strengths[:, None] * np.exp(size + 0.15 * rng.normal(size=shape))) ** 2
        return ShareCurve(scores=scores, amounts=np.sqrt(steps.sum(axis=1)), steps=steps)

    return side(STRENGTHS, 1.0), side(weaker * STRENGTHS, less, steeper)
