"""The verdict on each check that a spec asks for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_eac.errors import UnavailableError
from pytest_eac.plugin.chains import PlannedChain
from pytest_eac.records.run import EDITED, ChainKey
from pytest_eac.spec.orders import show_order
from pytest_eac.spec.schema.orderings import Orderings
from pytest_eac.spec.spec import comparison_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.judging.stored_chains import StoredRecord
    from pytest_eac.plugin.baseline_records import Baseline
    from pytest_eac.plugin.chains import Chains
    from pytest_eac.plugin.models import Models
    from pytest_eac.plugin.options import Options
    from pytest_eac.plugin.releases import Releases
    from pytest_eac.records.run import Chain, Comparison, Pooled, Verdict
    from pytest_eac.spec.orders import Order
    from pytest_eac.spec.schema import checks
    from pytest_eac.spec.schema.at_equal import AtEqual
    from pytest_eac.spec.schema.orderings import Property
    from pytest_eac.spec.spec import Spec


@dataclass(kw_only=True, eq=False)
class Verdicts:
    """Judges chains and released models, measuring each when its first check is judged.

    Attributes:
        options: of the run.
        specs: all that were collected.
        chains: where records are kept.
        models: where chains are run.
        releases: where released models are compared and measured.
        stored: an earlier run, whose chains are judged in place of this one's.
        comparisons: the verdicts on two methods, by spec and check.
        pooled: those on a method over several sets of edits, by spec, method and check.
    """

    options: Options
    specs: Sequence[Spec]
    chains: Chains
    models: Models
    releases: Releases
    stored: StoredRecord | None
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict)
    _over_samples: dict[ChainKey, dict[str, Pooled]] = field(default_factory=dict)
    pooled: dict[tuple[str, str, str], Pooled] = field(default_factory=dict)
    _judged: dict[ChainKey, dict[str, Verdict]] = field(default_factory=dict)

    def chain(self, planned: PlannedChain) -> Chain:
        """Return a chain's record, running the chain if it has not run yet."""

        def take() -> Chain:
            if self.stored:
                return self.stored.chain(planned.key, planned.spec, planned.method)
            return self.models.run(planned, self.chains.note_stopped)

        return self.chains.once(planned.key, take)

    def of_chain(self, planned: PlannedChain, check: str) -> Verdict:
        """Judge one check of a chain."""
        return self._judge(self.chain(planned), planned.spec, check)

    def of_edited(self, spec: Spec, check: str) -> Verdict:
        """Judge one check of a released model."""
        if check == "changed":
            return self.releases.judge(spec)
        key = ChainKey(spec.file.as_posix(), EDITED, 0)
        return self._judge(self.chains.once(key, lambda: self.releases.measure(spec)), spec, check)

    def _judge(self, chain: Chain, spec: Spec, check: str) -> Verdict:
        from pytest_eac.judging.checks import judge
        from pytest_eac.judging.stored_chains import unrecorded

        if error := self.models.absent(spec).get(check):
            raise error
        if chain.key not in self._judged:  # all checks together: p-values are corrected for them
            found = judge(chain, spec.checks, spec.stats, suite=self._suite(spec))
            self._judged[chain.key] = {each.check: each for each in found}
        verdict = unrecorded(chain, spec, check) or self._judged[chain.key][check]
        self.chains.keep(chain, verdict)
        return verdict

    def _suite(self, spec: Spec) -> int:
        """Return over how many p-values those of a spec are corrected; 0: over its own chain's."""
        from pytest_eac.judging.suite import suite_size

        if spec.stats.suite == "none":
            return 0
        return suite_size(self.specs, released=self.options.edited is not None)

    def of_orders(self, planned: PlannedChain, wanted: Property) -> Verdict:
        """Judge what must hold under every order of a chain's edits."""
        from pytest_eac.judging.orderings import judge_ordering

        spec, chain = planned.spec, self.chain(planned)
        if self.stored:
            raise UnavailableError(
                f"{self.stored.file}: the orders of {chain.name} are not stored",
                remedy="run the spec without --eac-from-results",
            )

        def replay(orders: Sequence[Order]) -> str:
            item = f"{spec.file}::{chain.name}::{wanted.id}"
            given = [f"--eac-order={show_order(order)}" for order in orders]
            return shlex.join(["pytest", item, *self.options.of_chains, *given])

        with self.models.running(spec, f"{chain.name}: orders") as progress:
            runner = self.models.orders(planned, chain, progress)
            try:
                verdict = judge_ordering(
                    chain,
                    wanted,
                    orderings=spec.orderings or Orderings(),
                    checks=spec.checks,
                    runner=runner,
                    replay=replay,
                    given=self.options.orders,
                )
            finally:  # orders that ran before one that fails are kept
                chain = replace(chain, orders=runner.runs)
                self.chains.keep(chain)
        self.chains.keep(chain, verdict)
        return verdict

    def of_baseline(self, planned: PlannedChain, baseline: Baseline, metric: str) -> Verdict:
        """Judge a metric of a chain against the baseline's.

        Raises:
            MismatchError: the baseline's chain is of other edits, another model, ...
        """
        chain = self.chain(planned)
        verdict = baseline.judge(chain, metric)
        self.chains.keep(chain, verdict)
        return verdict

    def of_comparison(self, samples: Sequence[Spec], comparison: checks.CompareCheck) -> Verdict:
        """Judge a comparison between two methods of a spec, given with each set of its edits."""
        from pytest_eac.judging.compare_checks import compare
        from pytest_eac.judging.compare_samples import compare_over_samples
        from pytest_eac.judging.matched_comparison import compare_at_equal

        judge = compare if len(samples) == 1 else compare_over_samples
        sides = [self._chains_of(samples, name) for name in (comparison.subject, comparison.than)]
        name, level = comparison_id(comparison), samples[0].stats.confidence
        suite = self._suite(samples[0])
        if at_equal := comparison.at_equal:
            curves = [self._by_strength(samples[0], chains, at_equal) for chains in sides]
            verdict = compare_at_equal(name, comparison, *curves, level=level, suite=suite)
        else:
            verdict = judge(name, comparison, *sides, level=level, suite=suite)
        self.comparisons[verdict.spec, verdict.check] = verdict
        return verdict

    def of_samples(self, samples: Sequence[Spec], method: str, check: str) -> Verdict:
        """Judge one check of a method over several sets of edits."""
        from pytest_eac.judging.samples import judge_samples

        spec = samples[0]
        if error := self.models.absent(spec).get(check):
            raise error
        key = ChainKey(spec.file.as_posix(), method, 0)
        if key not in self._over_samples:  # all checks together: p-values are corrected for them
            chains = self._chains_of(samples, method)
            found = judge_samples(chains, spec.checks, spec.stats, suite=self._suite(spec))
            self._over_samples[key] = {each.check: each for each in found}
        verdict = self._over_samples[key][check]
        self.pooled[verdict.spec, method, check] = verdict
        return verdict

    def _chains_of(self, samples: Sequence[Spec], name: str) -> list[Chain]:
        """Return the chains of a method, set by set of edits, and in each by seed."""
        method = next(each for each in samples[0].methods if each.name == name)
        return [
            self.chain(PlannedChain(spec=spec, method=method, seed=seed))
            for spec in samples
            for seed in spec.seeds
        ]

    def _by_strength(
        self, spec: Spec, own: Sequence[Chain], at_equal: AtEqual
    ) -> dict[str, Sequence[Chain]]:
        """Return a method's chains at each strength, in words; ``own`` are those as written."""
        from pytest_eac.judging.matched_comparison import strengths
        from pytest_eac.spec.option_grid import variants

        method = next(each for each in spec.methods if each.name == own[0].method)
        found: dict[str, Sequence[Chain]] = {}
        for setting in strengths(own[0], at_equal):
            (variant,) = variants([method], [(setting,)])
            found[setting.shown] = [
                self.chain(PlannedChain(spec=spec, method=variant.method, seed=seed))
                for seed in spec.seeds
            ]
        return {**found, "as written": own}
