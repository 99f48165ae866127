"""A record as a page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.growth import growth
from pytest_eac.judging.paired_edits import last_abilities, metrics_of
from pytest_eac.judging.tried_orders import of_chain
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.html import chain_charts, formatting
from pytest_eac.reporting.html.edit_table import script_data
from pytest_eac.reporting.templates import template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.judging.growth import Growth
    from pytest_eac.records.run import Ability, Chain, Comparison, Record, Release
    from pytest_eac.reporting.outcomes import Outcome
    from pytest_eac.reporting.svg import Plot


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """What the page shows of one spec on one model: the chains, and what is drawn of them."""

    spec: str
    chains: tuple[Chain, ...]
    growths: tuple[Growth, ...]
    comparisons: tuple[Comparison, ...]
    deviation: Plot | None
    metrics: dict[str, Plot]
    abilities: dict[str, Plot]
    orders: dict[str, Plot]
    cost: Plot | None
    causality: list[str]

    @property
    def ability_names(self) -> list[str]:
        """The abilities that some chain has at a checkpoint, in the order of the spec."""
        return chain_charts.ability_names(self.chains)

    def shown(self, name: str) -> Ability:
        """Return an ability of any chain: base and number of items are the same in all."""
        return next(found[name] for found in map(last_abilities, self.chains) if name in found)


def report_page(record: Record, outcomes: Sequence[Outcome], *, command: str, version: str) -> str:
    """Return a page that shows a whole record; it loads nothing from elsewhere.

    Args:
        record: what was measured.
        outcomes: of the checks.
        command: the command that made it, or that makes it again.
        version: the package's.
    """
    here = files("pytest_eac.reporting.html")
    findings = [f"{chain.name}: {line}" for chain in record.chains for line in diagnose(chain)]
    return template("html/page.html.j2").render(
        headline=formatting.headline(outcomes),
        parts=[_part(chains, record.comparisons) for chains in _by_model(record.chains)],
        findings=findings,
        releases=record.releases,
        unfinished=record.unfinished,
        environment=record.environment,
        command=command,
        version=version,
        css=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        data=script_data(record.chains),
        span=formatting.span,
        last_abilities=last_abilities,
        style=chain_charts.style,
        changes=_changes,
        excluded=excluded_text,
        orders_say=of_chain,
        metrics_of=metrics_of,
    )


def _by_model(chains: Sequence[Chain]) -> list[tuple[Chain, ...]]:
    found: dict[tuple[str, str, bool], list[Chain]] = {}
    for chain in chains:
        key = (chain.spec, chain.model.fingerprint, chain.released is not None)
        found.setdefault(key, []).append(chain)
    return [tuple(each) for each in found.values()]


def _part(chains: tuple[Chain, ...], comparisons: Sequence[Comparison]) -> ModelPart:
    spec = chains[0].spec
    edited = tuple(chain for chain in chains if chain.per_edit)
    growths = tuple(growth(chain) for chain in edited)
    return ModelPart(
        spec=spec,
        chains=chains,
        growths=growths,
        comparisons=tuple(each for each in comparisons if each.spec == spec),
        deviation=chain_charts.deviation_plot(edited, growths),
        metrics=chain_charts.metric_plots(chains),
        abilities=chain_charts.ability_plots(chains),
        orders=chain_charts.order_plots(chains),
        cost=chain_charts.cost_plot(edited),
        causality=causality_lines(chains),
    )


def _changes(release: Release) -> str:
    """Say in a line how much of a release differs from its base."""
    return release.verdict.message.partition("\n")[0] if release.verdict else "not judged"
