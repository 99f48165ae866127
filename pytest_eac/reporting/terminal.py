"""A run's tables for the terminal; 80 columns wide."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, floor
from operator import attrgetter

from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.paired_edits import last_abilities, metrics_of
from pytest_eac.judging.tried_orders import of_chain
from pytest_eac.records.run import Ability, Chain, Measurement
from pytest_eac.reporting.diagnostics_table import diagnostics_lines, noted
from pytest_eac.reporting.text import fit, wrapped
from pytest_eac.spec.metrics import BUILT_IN
from pytest_eac.spec.registry_entries import Metric

_GIVEN_EACH = "  intervals and p-values of a chain: for these edits, given this chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column of the table; ``cells`` are a chain's number, its interval, its count of edits."""

    heading: str
    cells: Callable[[Chain], tuple[str, str, str]]
    width: int = 6


def summary_lines(chains: Sequence[Chain]) -> list[str]:
    """Return a table of chains x metrics at the end of their sequences, and further tables.

    Shares are percentages, with their intervals below them, and the number of edits where it is not
    that of all; ``dev`` is the relative L1 deviation of the edited matrices. Metrics of other
    packages that do not fit beside the built-in ones have further tables. Abilities are those of
    the last checkpoint that has them; ``kept`` has its interval behind it. The checks with a
    confidence follow with their p-values, the growth of the deviation where it was asked for, and
    what other orders of the edits say.
    """
    lines: list[str] = []
    for spec in dict.fromkeys(chain.spec for chain in chains):
        mine = [chain for chain in chains if chain.spec == spec]
        model, released = mine[0].model, mine[0].released
        lines += [
            fit(f"{spec}: {model.id}", 80),
            f"  {model.dtype} on {model.device}, weights {model.fingerprint[:12]}, "
            f"match: {mine[0].scoring}",
        ]
        if released:
            lines.append(fit(f"  edited: {released.id}, weights {released.fingerprint[:12]}", 80))
        lines += [
            _GIVEN_EACH,
            *metrics_table(mine),
            *diagnostics_lines(mine),
            *abilities_table(mine),
        ]
        lines += _tested(mine)
        lines += [line for chain in mine for line in _growth(chain)]
        lines += [_orders(chain) for chain in mine if chain.orders]
        lines += [part for chain in mine for text in of_chain(chain) for part in wrapped(text)]
        lines += [line for note in noted(mine) for line in wrapped(note)]
    return lines + cached_line(chains)


def metrics_table(
    chains: Sequence[Chain],
    *,
    heading: str = "chain",
    name: Callable[[Chain], str] = attrgetter("name"),
) -> list[str]:
    """Return a table of chains x metrics at the end of their sequences.

    Args:
        chains: of one spec.
        heading: of the column with the chains' names.
        name: what a chain is called there.
    """
    lines = []
    for number, columns in enumerate(_tables(_columns(chains))):
        headings = [(column, column.heading) for column in columns]
        lines.append(_row(heading, "edits", headings))
        for chain in chains:
            lines += _rows(name(chain), chain, columns)
            excluded = "" if number else excluded_text(chain)
            lines += wrapped(f"  {excluded}") if excluded else []
    return lines


def cached_line(chains: Sequence[Chain]) -> list[str]:
    """Say how much of the chains came from the cache, if any edit did."""
    edits = [cost.cached for chain in chains for cost in chain.per_edit]
    if not any(edits):
        return []
    measurements = sum(chain.cached_measurements for chain in chains)
    return [
        f"{sum(edits)} of {len(edits)} edits and {measurements} measurements came from the cache "
        "(s/edit: as solved)"
    ]


def _growth(chain: Chain) -> Iterator[str]:
    """Say how the deviation grows, where that was asked for and has not failed."""
    for each in chain.verdicts:
        lines = each.message.splitlines()
        if each.outcome != "passed" or not each.check.startswith("deviation"):
            continue
        if each.check == "deviation":  # the table has it; when it would be crossed comes after it
            lines = [f"deviation of {chain.name}: {line}" for line in lines[1:]]
        for line in lines:
            yield from wrapped(line)


def _orders(chain: Chain) -> str:
    """Say how many orders were run, and how many of their edits had to be solved."""
    asked = sum(len(run.order) for run in chain.orders)
    solved = sum(run.solved for run in chain.orders)
    name = fit(chain.name, 23)
    return f"orders of {name}: {len(chain.orders)} run, {solved} of {asked} edits solved"


def abilities_table(chains: Sequence[Chain]) -> list[str]:
    """Return a row per chain and ability, if there are any; the unedited model comes first."""
    unedited = {name: each for chain in chains for name, each in chain.abilities.items()}
    rows = [_ability_row("unedited", name, each) for name, each in unedited.items()]
    rows += [
        _ability_row(chain.name, name, each)
        for chain in chains
        for name, each in (chain.abilities | last_abilities(chain)).items()
    ]
    heading = (
        f"{'chain':<23} {'ability':<15}{'base':>7}{'edited':>8}{'kept':>6} "
        f"{_level(chains[0]):<14}{'n':>5}"
    )
    return [heading, *rows] if rows else []


def _ability_row(chain: str, name: str, ability: Ability) -> str:
    kept, interval = "-", "no signal"
    if ability.signal and ability.kept is not None:
        kept, interval = f"{ability.kept:.2f}", "no interval"
        if ability.kept_low is not None and ability.kept_high is not None:
            interval = f"{ability.kept_low:.2f} to {ability.kept_high:.2f}"
    return (
        f"{fit(chain, 23):<23} {fit(name, 14):<15}{_number(ability.base):>7}"
        f"{_number(ability.value):>8}{kept:>6} {interval:<14}{ability.n:>5}"
    )


def _number(value: float) -> str:
    """Write a number in at most seven columns."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 1e5 else f"{value:.0e}"


def _columns(chains: Sequence[Chain]) -> list[_Column]:
    """Return the built-in metrics, what an edit took, and the metrics of other packages."""
    columns = []
    for metric in metrics_of(chains):
        heading = fit(metric.heading, 23)
        width = 6 if metric.name in BUILT_IN else max(10, len(heading))
        columns.append(_Column(heading=heading, cells=partial(_cells, metric), width=width))
    columns.insert(len(BUILT_IN), _Column(heading="s/edit", cells=_seconds))
    return columns


def _tables(columns: Sequence[_Column]) -> Iterator[list[_Column]]:
    """Share columns out to tables that are 80 columns wide with the chains' names and edits."""
    table: list[_Column] = []
    for column in columns:
        if 29 + sum(each.width + 1 for each in (*table, column)) > 80:
            yield table
            table = []
        table.append(column)
    yield table


def _row(name: str, edits: str, cells: Sequence[tuple[_Column, str]]) -> str:
    line = f"{fit(name, 23):<23} {edits:>5}"
    return (line + "".join(f" {text:>{column.width}}" for column, text in cells)).rstrip()


def _rows(name: str, chain: Chain, columns: Sequence[_Column]) -> list[str]:
    """Return a chain's numbers, their intervals, and how many edits they are of."""
    numbers, intervals, counts = (
        list(zip(columns, texts, strict=True))
        for texts in zip(*(column.cells(chain) for column in columns), strict=True)
    )
    count = str(len(chain.edits))
    rows = [
        _row(name, count, numbers),
        _row(f"  {_level(chain)} interval", "", intervals),
    ]
    if any(text not in {"", count} for _, text in counts):
        rows.append(_row("  number of edits", "", counts))
    return rows


def _cells(metric: Metric, chain: Chain) -> tuple[str, str, str]:
    if metric.kind == "weights":
        return f"{chain.checkpoints[-1].deviation.l1_relative:.3f}", "", ""
    measured = chain.measured(metric.name)
    if measured is None or measured.value is None:
        return "-", "", ""
    if measured.is_number:
        return f"{measured.value:.4g}", "", ""
    return f"{100 * measured.value:.1f}%", _interval(measured), str(measured.n)


def _seconds(chain: Chain) -> tuple[str, str, str]:
    seconds = [cost.seconds for cost in chain.per_edit]
    return f"{sum(seconds) / len(seconds):.1f}" if seconds else "-", "", ""


def _level(chain: Chain) -> str:
    return f"{100 * chain.confidence:g}%"


def _interval(measured: Measurement) -> str:
    if measured.low is None or measured.high is None:
        return ""
    below, above = outward(measured.low, measured.high)
    return f"{below}-{above}"


def outward(low: float, high: float) -> tuple[int, int]:
    """Return an interval of shares as whole percentages, rounded outwards."""
    return floor(100 * low + 1e-9), ceil(100 * high - 1e-9)


def _tested(chains: Sequence[Chain]) -> list[str]:
    """Return a row per check that was asked for with a confidence, if there are any."""
    rows = []
    for chain in chains:
        for each in chain.verdicts:
            if each.p is not None and each.p_adjusted is not None:
                over = f"{each.correction} over {each.corrected_over}"
                rows.append(
                    f"{fit(chain.name, 23):<23} {fit(each.check, 11):<12}{each.n or '-':>5}"
                    f"{each.p:>8.2g}{each.p_adjusted:>8.2g} "
                    f"{over[:12]:>12} {each.outcome[:9]:<9}".rstrip()
                )
    heading = f"{'chain':<23} {'check':<12}{'n':>5}{'p':>8}{'p corr.':>8} {'corrected':>12} verdict"
    return [heading, *rows] if rows else []
