"""A run as Markdown, for the page that a CI system shows of it."""

from collections.abc import Iterable, Sequence

from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.paired_edits import last_abilities, metrics_of
from pytest_eac.records.run import Ability, Chain, Pooled, Unfinished
from pytest_eac.reporting.diagnostics_table import diagnostics_table, legend, noted
from pytest_eac.reporting.outcomes import Outcome
from pytest_eac.spec.registry_entries import Metric
from pytest_eac.untrusted_text import fenced, line, markdown, markup


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table of plain texts."""
    written = [[markdown(cell) for cell in row] for row in (headings, *rows)]
    return [f"| {' | '.join(row)} |" for row in (written[0], ["---"] * len(headings), *written[1:])]


def summary(
    chains: Sequence[Chain],
    outcomes: Sequence[Outcome],
    unfinished: Sequence[Unfinished] = (),
    pooled: Sequence[Pooled] = (),
) -> str:
    """Return verdict, tables of chains x metrics and abilities, and what each check said.

    Args:
        chains: the chains that ran to their end.
        outcomes: of the checks.
        unfinished: the chains that an error stopped.
        pooled: the verdicts on methods over several sets of edits.
    """
    lines = [f"## {_verdict(outcomes)}", ""]
    for spec in dict.fromkeys(chain.spec for chain in chains):
        mine = [chain for chain in chains if chain.spec == spec]
        model = mine[0].model
        about = f"{model.id}, {model.dtype}, weights {model.fingerprint[:12]}"
        level = f"{100 * mine[0].confidence:g}% intervals, for these edits, given each chain"
        about = f"{markdown(about)}; match: {markdown(mine[0].scoring)}; {level}"
        lines += [f"### {markdown(spec)}", "", about, ""]
        metrics = metrics_of(mine)
        rows = [
            (chain.name, str(len(chain.edits)), *(_cell(chain, each) for each in metrics))
            for chain in mine
        ]
        lines += [*table(("chain", "edits", *(each.name for each in metrics)), rows), ""]
        for chain in mine:
            if excluded := excluded_text(chain):
                lines += [markdown(f"{chain.name}: {excluded}"), ""]
        lines += _abilities(mine)
        lines += _over_samples([each for each in pooled if each.spec == spec])
        if diagnostics := diagnostics_table(mine):
            headings, *rows = diagnostics
            lines += [markdown(legend(headings)), "", *table(headings, rows), ""]
        for note in noted(mine):
            lines += [markdown(note), ""]
    if unfinished:
        lines += ["### Stopped by an error", ""]
        lines += [f"- {markdown(f'{each.chain.spec}: {each.brief}')}" for each in unfinished]
        lines += [""]
    for outcome in outcomes:
        if outcome.is_bad and not outcome.refers:
            lines += _details(outcome)
    lines += _listed("Not judged", [each for each in outcomes if each.refers])
    lines += _listed(
        "Undecided or skipped", [each for each in outcomes if each.outcome == "skipped"]
    )
    passed = [each for each in outcomes if each.outcome == "passed" and each.message]
    if passed:
        lines += ["", f"<details><summary>passed: {len(passed)}</summary>", ""]
        lines += [f"- {markdown('; '.join(each.message.splitlines()))}" for each in passed]
        lines += ["", "</details>"]
    return "\n".join(lines).rstrip("\n") + "\n"


def _over_samples(pooled: Sequence[Pooled]) -> list[str]:
    rows = [
        (
            each.method,
            each.check,
            "-" if each.observed is None else f"{each.observed:.4g}",
            "-" if each.low is None else f"{each.low:.3g} to {each.high:.3g}",
            f"{each.n or '-'}",
            "-" if each.p_adjusted is None else f"{each.p_adjusted:.2g}",
            each.outcome,
        )
        for each in pooled
    ]
    names = ("over samples", "check", "mean", "interval", "n", "p (corrected)", "verdict")
    return [*table(names, rows), ""] if rows else []


def _listed(heading: str, outcomes: Sequence[Outcome]) -> list[str]:
    lines = [f"- {markdown(each.name)}: {markdown(each.message)}" for each in outcomes]
    return [f"### {heading}", "", *lines, ""] if lines else []


def _verdict(outcomes: Sequence[Outcome]) -> str:
    counts: dict[str, int] = {}
    for each in outcomes:
        counts[each.outcome] = counts.get(each.outcome, 0) + 1
    bad = any(each.is_bad for each in outcomes)
    held = "passed" if counts.get("passed") else "nothing decided"
    found = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"Edits: {'failed' if bad else held}" + (f" ({found})" if found else "")


def _cell(chain: Chain, metric: Metric) -> str:
    if metric.kind == "weights":
        return f"{chain.checkpoints[-1].deviation.l1_relative:.4g}"
    measured = chain.measured(metric.name)
    if measured is None or measured.value is None:
        return "-"
    if measured.is_number:
        return f"{measured.value:.4g}"
    if measured.low is None or measured.high is None:
        return f"{measured.value:.3f}"
    return f"{measured.value:.3f} ({measured.low:.2f} to {measured.high:.2f}, n={measured.n})"


def _abilities(chains: Sequence[Chain]) -> list[str]:
    rows = [
        _ability_row(chain.name, name, each)
        for chain in chains
        for name, each in last_abilities(chain).items()
    ]
    names = ("chain", "ability", "unedited", "edited", "kept", "n")
    return [*table(names, rows), ""] if rows else []


def _ability_row(chain: str, name: str, ability: Ability) -> list[str]:
    kept = "no signal"
    if ability.signal and ability.kept is not None:
        kept = f"{ability.kept:.2f}"
        if ability.kept_low is not None and ability.kept_high is not None:
            kept += f" ({ability.kept_low:.2f} to {ability.kept_high:.2f})"
    return [chain, name, f"{ability.base:.4g}", f"{ability.value:.4g}", kept, str(ability.n)]


def _details(outcome: Outcome) -> list[str]:
    """Fold a message away under its node id."""
    name = markup(line(f"{outcome.outcome}: {outcome.name}"))
    heading = f"<details open><summary>{name}</summary>"
    return [heading, "", *fenced(outcome.message), "", "</details>", ""]
