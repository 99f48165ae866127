"""A run's tables for the terminal; 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.record import Ability, Chain, Measurement

_COLUMNS = ("edits", "known", "effic", "genrl", "local", "retain", "dev", "s/edit")


def summary_lines(chains: Sequence[Chain]) -> list[str]:
    """Return a table of chains x metrics at the end of their sequences, and one of abilities.

    Shares are percentages; ``dev`` is the relative L1 deviation of the edited matrices. Abilities
    are those of the last checkpoint that has them; ``kept`` has its 95 % interval behind it.
    """
    lines: list[str] = []
    for spec in dict.fromkeys(chain.spec for chain in chains):
        mine = [chain for chain in chains if chain.spec == spec]
        model = mine[0].model
        lines += [
            fit(f"{spec}: {model.id}", 80),
            f"  {model.dtype} on {model.device}, weights {model.fingerprint[:12]}, "
            f"match: {mine[0].scoring}",
            _row("chain", _COLUMNS),
        ]
        lines += [_row(chain.name, _cells(chain)) for chain in mine]
        lines += _abilities(mine)
    return lines + _cached_line(chains)


def _cached_line(chains: Sequence[Chain]) -> list[str]:
    """Say how much of the chains was at hand from earlier runs, if any edit was."""
    edits = [cost.cached for chain in chains for cost in chain.per_edit]
    if not any(edits):
        return []
    measurements = sum(chain.cached_measurements for chain in chains)
    return [
        f"{sum(edits)} of {len(edits)} edits and {measurements} measurements came from the cache "
        "(s/edit: as solved)"
    ]


def fit(text: str, width: int) -> str:
    """Leave out the middle of a text that is too long: both ends tell things apart."""
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[: width - 3 - half]}...{text[-half:]}"


def _abilities(chains: Sequence[Chain]) -> list[str]:
    """Return a row per chain and ability, if there are any."""
    rows = [
        _ability_row(chain.name, name, _last(chain, name))
        for chain in chains
        for name in chain.abilities
    ]
    heading = (
        f"{'chain':<23} {'ability':<15}{'base':>7}{'edited':>8}{'kept':>6} {'95%':<14}{'n':>5}"
    )
    return [heading, *rows] if rows else []


def _last(chain: Chain, name: str) -> Ability:
    """Return an ability at the last checkpoint that has it; the unedited one if none has."""
    found = [point.abilities[name] for point in chain.checkpoints if name in point.abilities]
    return found[-1] if found else chain.abilities[name]


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


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{fit(name, 23):<23} {cells[0]:>5}" + "".join(f" {cell:>6}" for cell in cells[1:])


def _cells(chain: Chain) -> list[str]:
    last = chain.checkpoints[-1]
    shares = (chain.known, last.efficacy, last.generalization, last.locality, last.retention)
    seconds = sum(cost.seconds for cost in chain.per_edit) / len(chain.per_edit)
    return [
        str(len(chain.edits)),
        *(_share(measured) for measured in shares),
        f"{last.deviation.l1_relative:.3f}",
        f"{seconds:.1f}",
    ]


def _share(measured: Measurement) -> str:
    return "-" if measured.value is None else f"{100 * measured.value:.1f}%"
