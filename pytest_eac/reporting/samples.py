"""What checks say of methods over several sets of edits, as a table; 80 columns wide."""

from collections.abc import Sequence

from pytest_eac.records.run import Chain, Pooled
from pytest_eac.reporting.text import fit


def samples_lines(pooled: Sequence[Pooled], chains: Sequence[Chain]) -> list[str]:
    """Return a row per check of a method over several sets of edits, if there are any.

    Args:
        pooled: the verdicts.
        chains: those of the run, whose intervals have the same level.
    """
    levels = {chain.spec: f"{100 * chain.confidence:g}%" for chain in chains}
    lines: list[str] = []
    for spec in dict.fromkeys(each.spec for each in pooled):
        mine = [each for each in pooled if each.spec == spec]
        lines.append(
            f"{'over samples':<20} {'check':<12}{'mean':>8} {levels.get(spec, '')} interval".ljust(
                58
            )
            + f"{'n':>4}{'p corr.':>8} verdict"
        )
        lines += [_pooled_row(each) for each in mine]
    return lines


def _pooled_row(each: Pooled) -> str:
    mean = "-" if each.observed is None else f"{each.observed:.4g}"
    ends = "-"
    if each.low is not None and each.high is not None:
        ends = f"{each.low:.3g} to {each.high:.3g}"
    p = "-" if each.p_adjusted is None else f"{each.p_adjusted:.2g}"
    return (
        f"{fit(each.method, 20):<20} {fit(each.check, 11):<12}{mean:>8} {ends:<16}"
        f"{each.n or '-':>4}{p:>8} {each.outcome}"
    )
