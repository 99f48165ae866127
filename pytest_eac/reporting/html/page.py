"""A record as a page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.growth import growth
from pytest_eac.judging.paired_edits import metrics_of
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.html import chain_charts, formatting
from pytest_eac.reporting.html.edit_table import script_data
from pytest_eac.untrusted_text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from pytest_eac.judging.growth import Growth
    from pytest_eac.records.run import Ability, Chain, Comparison, Record, Release
    from pytest_eac.reporting.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """What the page tells of one spec on one model: the chains, and what is drawn of them."""

    spec: str
    chains: tuple[Chain, ...]
    growths: tuple[Growth, ...]
    comparisons: tuple[Comparison, ...]
    deviation: str
    metrics: list[tuple[str, str]]
    abilities: list[tuple[str, str]]
    orders: list[tuple[str, str]]
    cost: str
    causality: list[str]

    @property
    def ability_names(self) -> list[str]:
        """The abilities that some chain has at a checkpoint, in the order of the spec."""
        return chain_charts.ability_names(self.chains)

    def shown(self, name: str) -> Ability:
        """Return an ability of whatever chain: base and number of items are those of all."""
        return next(last(chain)[name][1] for chain in self.chains if name in last(chain))


def last(chain: Chain) -> dict[str, tuple[int, Ability]]:
    """Return each ability of a chain where it was measured last: after how many edits, and it."""
    return {name: (p.at, found) for p in chain.checkpoints for name, found in p.abilities.items()}


def report_page(record: Record, outcomes: Sequence[Outcome], *, command: str, version: str) -> str:
    """Return a page that tells all of a record; it fetches nothing.

    Args:
        record: what was measured.
        outcomes: what became of each check.
        command: the command that made it, or that makes it again.
        version: the package's.
    """
    here = files("pytest_eac.reporting.html")
    findings = [f"{chain.name}: {line}" for chain in record.chains for line in diagnose(chain)]
    return _template().render(
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
        last=last,
        style=chain_charts.style,
        changes=_changes,
        excluded=excluded_text,
        metrics_of=metrics_of,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytest_eac.reporting.html", "."),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=formatting.number, percent=formatting.percent)
    return environment.get_template("page.html.j2")


def _visible(value: Any) -> Any:
    """Show what is invisible in a text; the page's own script, style and drawings are markup."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


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
        deviation=chain_charts.deviation_plot(edited, growths) if edited else "",
        metrics=chain_charts.metric_plots(chains),
        abilities=chain_charts.ability_plots(chains),
        orders=chain_charts.order_plots(chains),
        cost=chain_charts.cost_plot(edited) if edited else "",
        causality=causality_lines(chains),
    )


def _changes(release: Release) -> str:
    """Say in a line how much of a release differs from its base."""
    return release.verdict.message.partition("\n")[0] if release.verdict else "not judged"
