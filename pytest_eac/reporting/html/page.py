"""A record as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.growth import Growth, growth
from pytest_eac.judging.paired_edits import last_abilities, metrics_of
from pytest_eac.judging.tried_orders import of_chain
from pytest_eac.records.run import Ability, Chain, Comparison, Pooled, Record, Release
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.diagnostics_table import diagnostics_table, legend, noted
from pytest_eac.reporting.html import chain_charts
from pytest_eac.reporting.html.edit_table import script_data
from pytest_eac.reporting.outcomes import Outcome
from pytest_eac.reporting.svg import Plot
from pytest_eac.reporting.templates import template
from pytest_eac.reporting.terminal import outward

_GROUPS = {
    "Stopped": ("stopped",),
    "Failed": ("failed", "error"),
    "Undecided or skipped": ("skipped",),
    "Known issues": ("xfailed",),
    "Passed": ("passed", "xpassed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict on a whole run.

    Attributes:
        outcome: ``failed``, ``undecided`` or ``passed``; ``none`` where nothing was judged.
        text: the same in words.
        groups: the checks by their outcomes; empty groups are left out.
    """

    outcome: str
    text: str
    groups: dict[str, tuple[Outcome, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """What the page shows of one spec on one model: the chains, and what is drawn of them."""

    spec: str
    chains: tuple[Chain, ...]
    growths: tuple[Growth, ...]
    comparisons: tuple[Comparison, ...]
    pooled: tuple[Pooled, ...]
    deviation: Plot | None
    metrics: dict[str, Plot]
    abilities: dict[str, Plot]
    orders: dict[str, Plot]
    of_orders: list[str]
    diagnostics: list[tuple[str, ...]]
    notes: list[str]
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
    return template("reporting/html/page.html.j2").render(
        headline=headline(outcomes),
        parts=[_part(chains, record) for chains in _by_model(record.chains)],
        findings=findings,
        releases=record.releases,
        unfinished=record.unfinished,
        environment=record.environment,
        command=command,
        version=version,
        css=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        data=script_data(record.chains),
        span=span,
        last_abilities=last_abilities,
        style=chain_charts.style,
        changes=_changes,
        excluded=excluded_text,
        column_meanings=legend,
        metrics_of=metrics_of,
    )


def _by_model(chains: Sequence[Chain]) -> list[tuple[Chain, ...]]:
    found: dict[tuple[str, str, bool], list[Chain]] = {}
    for chain in chains:
        key = (chain.spec, chain.model.fingerprint, chain.released is not None)
        found.setdefault(key, []).append(chain)
    return [tuple(each) for each in found.values()]


def _part(chains: tuple[Chain, ...], record: Record) -> ModelPart:
    spec = chains[0].spec
    edited = tuple(chain for chain in chains if chain.per_edit)
    growths = tuple(growth(chain) for chain in edited)
    return ModelPart(
        spec=spec,
        chains=chains,
        growths=growths,
        comparisons=tuple(each for each in record.comparisons if each.spec == spec),
        pooled=tuple(each for each in record.pooled if each.spec == spec),
        deviation=chain_charts.deviation_plot(edited, growths),
        metrics=chain_charts.metric_plots(chains),
        abilities=chain_charts.ability_plots(chains),
        orders=chain_charts.order_plots(chains),
        of_orders=[text for chain in chains for text in of_chain(chain)],
        diagnostics=diagnostics_table(chains),
        notes=noted(chains),
        cost=chain_charts.cost_plot(edited),
        causality=causality_lines(chains),
    )


def _changes(release: Release) -> str:
    """Say in a line how much of a release differs from its base."""
    return release.verdict.message.partition("\n")[0] if release.verdict else "not judged"


def headline(outcomes: Sequence[Outcome]) -> Headline:
    """Judge a whole run as pytest does: failed if one check failed; skipped ones are no passes."""
    groups = {
        name: tuple(each for each in outcomes if each.outcome in kinds)
        for name, kinds in _GROUPS.items()
    }
    stopped, failed, undecided, known, passed = map(len, groups.values())
    beside = [f"{undecided} could not be decided"] if undecided else []
    beside += [f"{known} failed as expected"] if known else []
    if not outcomes:
        outcome, text = "none", "Nothing was judged"
    elif stopped:
        outcome, text = "failed", f"Stopped before the end: {failed} failed, {passed} passed so far"
    elif failed:
        outcome, text = "failed", f"{failed} of {len(outcomes)} checks failed"
    elif not passed:
        outcome, text = "undecided", "No check has passed: " + ", ".join(beside)
    elif beside:
        outcome, text = "passed", f"{passed} checks passed, {', '.join(beside)}"
    else:
        outcome, text = "passed", f"All {passed} checks passed"
    return Headline(
        outcome=outcome, text=text, groups={name: each for name, each in groups.items() if each}
    )


def span(low: float | None, high: float | None, *, share: bool = False) -> str:
    """Return an interval; empty where there is none. Shares are rounded outward, to percents."""
    if low is None or high is None:
        return ""
    if share:
        below, above = outward(low, high)
        return f"{below}% to {above}%"
    return f"{low:.3g} to {high:.3g}"
