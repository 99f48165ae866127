"""The values: what the layer must write at the subjects, so that the model says the targets.

Plain editors search all dimensions. EAC searches all of them (stage 1), keeps the most salient as
anchors, and searches again on those alone (stage 2) under a scored elastic net. Both are the same
descent on the same objective, with other variables and other penalties. Edits of one update are
searched together, each for itself: they share the forward pass and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pytest_eac.editing.anchors import choose_anchors, net_l1, saliency, scatter
from pytest_eac.editing.descent import Descent, StepLoss, Terms, descend
from pytest_eac.editing.objective import Response
from pytest_eac.spec.schema.settings import AnchorSettings, ValueSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """A solved value.

    Attributes:
        delta: what to add to the layer's output at the subject; (d_out,).
        init: the output before the edit; (d_out,). The value itself is ``init + delta``.
        written: the part of ``init`` that the down-projection wrote; (d_out,).
        stages: the losses of each stage, step by step.
        first_delta: stage 1's delta; equal to ``delta`` for plain editors.
        anchors: ascending indices of the dimensions that carry the edit; ``None`` without EAC.
        reached: whether the search stopped because it was there (see ``stop_when``).
        site: path of the module whose output the value is; ``None`` where that is not known.
    """

    delta: Tensor
    init: Tensor
    written: Tensor
    stages: tuple[tuple[StepLoss, ...], ...]
    first_delta: Tensor
    anchors: tuple[int, ...] | None
    reached: bool
    site: str | None = None


class Searched(Protocol):
    """What values are searched on; :class:`pytest_eac.editing.objective.Objective` is the one."""

    init: Tensor
    written: Tensor

    def __call__(self, deltas: Tensor, edits: Sequence[int]) -> Response:
        """Say what becomes of some edits' prompts with ``deltas`` (edits, d_out) in place."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pick:
    """An edit's anchors: their indices, saliencies, and stage 1's delta there; (anchors,) each."""

    anchors: Tensor
    scores: Tensor
    kept: Tensor


class _Search:
    """The loss of some edits' values, and the two stages that minimise it."""

    def __init__(self, objective: Searched, settings: ValueSettings) -> None:
        self.objective = objective
        self.settings = settings
        self.sizes = objective.init.norm(dim=-1)
        self.count, self.width = objective.init.shape
        self.unedited = self.essence(torch.zeros_like(objective.init), range(self.count))

    @torch.no_grad()
    def essence(self, deltas: Tensor, edits: Sequence[int]) -> Tensor:
        """What the model takes the subjects for, with ``deltas`` in place."""
        return self.objective(deltas, edits).essence

    def terms(
        self, deltas: Tensor, edits: Sequence[int], reference: Tensor, *, l2: float, net: Tensor
    ) -> Terms:
        """Return the loss's terms at ``deltas`` (edits, d_out); the KL is against ``reference``."""
        outcome = self.objective(deltas, edits)
        kl = torch.nn.functional.kl_div(
            reference[list(edits)], outcome.essence, log_target=True, reduction="none"
        ).sum(dim=-1)
        return Terms(
            nll=outcome.nll,
            kl=self.settings.kl_factor * kl,
            decay=l2 * deltas.norm(dim=-1) / self.sizes[list(edits)] ** 2,
            net=net,
            said=outcome.said,
        )

    def descend(
        self,
        terms: Callable[[list[Tensor], list[int]], Terms],
        starts: Mapping[int, Tensor],
        *,
        steps: int,
        update_last: bool,
    ) -> dict[int, Descent]:
        return descend(
            terms,
            starts,
            settings=self.settings,
            steps=steps,
            radii={edit: self.settings.clamp * float(self.sizes[edit]) for edit in starts},
            update_last=update_last,
        )

    def everywhere(self, *, update_last: bool) -> dict[int, Descent]:
        """Search all dimensions: the plain search, and EAC's stage 1."""

        def terms(points: list[Tensor], edits: list[int]) -> Terms:
            deltas = torch.stack(points)
            l2, none = self.settings.weight_decay, deltas.new_zeros(len(edits))
            return self.terms(deltas, edits, self.unedited, l2=l2, net=none)

        starts = dict(enumerate(torch.zeros_like(self.objective.init)))
        return self.descend(terms, starts, steps=self.settings.steps, update_last=update_last)

    def on_anchors(self, picks: Mapping[int, _Pick], anchors: AnchorSettings) -> dict[int, Descent]:
        """Search the anchors alone, under the elastic net: EAC's stage 2."""
        warm = anchors.start == "warm"
        starts = {
            edit: pick.kept if warm else torch.zeros_like(pick.kept) for edit, pick in picks.items()
        }
        l2 = self.settings.weight_decay if anchors.l2 is None else anchors.l2

        def spread(points: Sequence[Tensor], edits: Sequence[int]) -> Tensor:
            pairs = zip(points, edits, strict=True)
            return torch.stack([scatter(p, picks[edit].anchors, self.width) for p, edit in pairs])

        reference = self.unedited
        if anchors.kl_reference == "start" and picks:
            reference = self.unedited.clone()
            edits = list(starts)
            reference[edits] = self.essence(spread(list(starts.values()), edits), edits)

        def terms(points: list[Tensor], edits: list[int]) -> Terms:
            nets = [
                anchors.l1 * net_l1(free, picks[edit].scores, scored=anchors.scored)
                for free, edit in zip(points, edits, strict=True)
            ]
            net = torch.stack(nets)
            return self.terms(spread(points, edits), edits, reference, l2=l2, net=net)

        return self.descend(terms, starts, steps=anchors.steps, update_last=True)


def solve_values(
    objective: Searched,
    settings: ValueSettings,
    anchors: AnchorSettings | None,
    *,
    seeds: Sequence[int],
) -> list[Value]:
    """Find the values of some edits, each as if it were alone.

    Args:
        objective: the edits' forward pass.
        settings: of the search.
        anchors: of EAC; ``None`` for the plain search.
        seeds: for each edit, of anchors chosen by chance.

    Returns:
        The values. With EAC, ``delta`` is zero off the anchors. A target that the model already
        gives (the search stops at once) needs no change: ``delta`` is zero and there are no
        anchors.

    Raises:
        NonFiniteError: a loss is NaN or infinite; its ``edit`` is the edit's number.

    Source: ROME (Meng et al. 2022), equation 4; EAC (arXiv 2503.00035), section 3.
    """
    search = _Search(objective, settings)
    firsts = search.everywhere(update_last=anchors is not None)
    picks: dict[int, _Pick] = {}
    seconds: dict[int, Descent] = {}
    if anchors is not None:
        picks = {
            edit: _pick(first, anchors, seeds[edit])
            for edit, first in firsts.items()
            if bool(first.end.any())
        }
        seconds = search.on_anchors(picks, anchors) if anchors.retrain else {}
    values = []
    for edit, first in firsts.items():
        last, delta, chosen = first, first.end, None if anchors is None else ()
        if edit in picks:
            last = seconds.get(edit, first)
            kept = last.end if edit in seconds else picks[edit].kept
            delta = scatter(kept, picks[edit].anchors, search.width)
            chosen = tuple(picks[edit].anchors.tolist())
        stages = (first.losses, last.losses) if edit in seconds else (first.losses,)
        values.append(
            Value(
                delta=delta,
                init=objective.init[edit],
                written=objective.written[edit],
                stages=stages,
                first_delta=first.end,
                anchors=chosen,
                reached=last.reached,
            )
        )
    return values


def _pick(first: Descent, anchors: AnchorSettings, seed: int) -> _Pick:
    chosen = choose_anchors(anchors, first.mean_gradient, first.end, seed=seed)
    return _Pick(
        anchors=chosen,
        scores=saliency(first.mean_gradient, first.end)[chosen],
        kept=first.end[chosen],
    )
