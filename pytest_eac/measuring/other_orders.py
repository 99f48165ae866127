"""A chain's edits in other orders, each order once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from pytest_eac.cache.entries import Cache
from pytest_eac.errors import EditError, NonFiniteError, SettingsError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.weights import WeightDelta
from pytest_eac.measuring.chain import Progress, RunOptions, run_chain
from pytest_eac.measuring.unedited import Unedited
from pytest_eac.records.run import Chain, OrderRun
from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.orders import Order, show_order
from pytest_eac.spec.spec import Spec, SpecMethod


@dataclass(kw_only=True, eq=False)
class OrderRunner:
    """Runs the edits of a chain in other orders.

    Attributes:
        loaded: the unedited model.
        spec: the spec as written.
        method: one of its methods.
        chain: the record of the written order.
        unedited: the unedited model's answers to the spec.
        cache: holds what orders have in common.
        cache_dir: where statistics of the unedited model are kept.
        progress: as for :class:`pytest_eac.measuring.chain.RunOptions`.
    """

    loaded: LoadedModel
    spec: Spec
    method: SpecMethod
    chain: Chain
    unedited: Unedited
    cache: Cache
    cache_dir: Path | None = None
    progress: Progress = lambda *_: None
    _chains: dict[Order, Chain] = field(default_factory=dict)
    _changes: dict[Order, tuple[WeightDelta, ...]] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Edits in an update."""
        return self.spec.batch

    @property
    def shares(self) -> bool:
        """Whether orders with a common beginning share its edits.

        A method of another package may keep what it likes from one call to the next, so its edits
        are solved every time; anchored norms look at the edits that are still to come.
        """
        anchored = self.chain.hyperparameters["value"]["norm"] == "anchored"
        return self.method.choice.base in BUILT_IN and not anchored

    @property
    def runs(self) -> tuple[OrderRun, ...]:
        """What has been run, in order; the written order is among them only if it was run again."""
        return tuple(
            OrderRun(
                order=order,
                solved=sum(not cost.cached for cost in chain.per_edit),
                metrics={name: each.value for name, each in chain.checkpoints[-1].metrics.items()},
                deviation=chain.checkpoints[-1].deviation.l1_relative,
            )
            for order, chain in self._chains.items()
        )

    def run(self, order: Order) -> Chain:
        """Return the record of the edits in this order.

        Raises:
            SettingsError: the order names an edit that is not there, or that has no truth to put
                back.
            EditError, NonFiniteError: with the order in the message; others as ``run_chain``.
        """
        if order not in self._chains:
            try:
                spec = self._only_what_counts(self.spec).ordered(order)
            except ValueError as error:
                raise SettingsError(
                    f"{self.spec.file}: order {show_order(order)}: {error}"
                ) from None
            changes: list[WeightDelta] = []
            try:
                self._chains[order] = run_chain(
                    self.loaded,
                    spec,
                    self._settled(),
                    seed=self.chain.seed,
                    cache=self.cache,
                    options=RunOptions(
                        unedited=self.unedited.rearranged(spec.edits),
                        cache_dir=self.cache_dir,
                        progress=self.progress,
                        watch=lambda step: changes.extend(step.solved.deltas),
                    ),
                )
            except (EditError, NonFiniteError) as error:
                raise type(error)(f"in the order {show_order(order)}: {error}") from error
            self._changes[order] = tuple(changes)
        return self._chains[order]

    def apart(self, one: Order, other: Order) -> float:
        """Return ``||W_one - W_other|| / ||W_other - W_0||`` (Frobenius) over all edited matrices.

        Raises:
            As :meth:`run`.
        """
        self.run(one), self.run(other)
        distance = change = 0.0
        for ours, theirs in _by_module(self._changes[one], self._changes[other]):
            distance += float((ours - theirs).square().sum())
            change += float(theirs.square().sum())
        return (distance / change) ** 0.5 if change else float(distance > 0)

    def _settled(self) -> SpecMethod:
        """Return the method on the layers of the written order, also if it chose them itself."""
        layers = tuple(self.chain.hyperparameters["layers"] or ())
        update = {"layers": layers} if self.method.choice.layers == "auto" else {}
        return replace(self.method, choice=self.method.choice.model_copy(update=update))

    def _only_what_counts(self, spec: Spec) -> Spec:
        """Leave out the abilities and metrics that need not hold under every order."""
        followed = {each.name for each in spec.properties}
        checks = spec.checks
        kept = {
            group: {name: each for name, each in getattr(checks, group).items() if name in followed}
            for group in ("abilities", "metrics")
        }
        return replace(spec, checks=checks.model_copy(update=kept))


def _by_module(
    one: Sequence[WeightDelta], other: Sequence[WeightDelta]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the sums of both sides' changes of each module, in float64."""
    for module in dict.fromkeys(delta.module for delta in (*one, *other)):
        ours, theirs = (
            [delta.dense.double() for delta in side if delta.module == module]
            for side in (one, other)
        )
        like = (ours or theirs)[0]
        zero = torch.zeros_like(like)
        yield sum(ours, zero), sum(theirs, zero)
