"""A run's table for the terminal; 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.record import Chain, Measurement

_COLUMNS = ("edits", "known", "effic", "genrl", "local", "retain", "dev", "s/edit")


def summary_lines(chains: Sequence[Chain]) -> list[str]:
    """Return a table of chains x metrics at the end of their sequences.

    Shares are percentages; ``dev`` is the relative L1 deviation of the edited matrices.
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
