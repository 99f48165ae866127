"""What a run prints of its specs after collection, and of its chains at the end."""

from collections.abc import Iterator, Sequence

from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.plugin.chains import Chains
from pytest_eac.plugin.options import Options
from pytest_eac.records.run import Pooled
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.samples import samples_lines
from pytest_eac.reporting.terminal import summary_lines
from pytest_eac.reporting.text import wrapped
from pytest_eac.spec.spec import Spec


def header_lines(specs: Sequence[Spec], options: Options) -> list[str]:
    """Return a line per model that the collected specs ask for."""
    if not specs:
        return []
    if options.from_results:
        return [f"eac: records from {options.from_results}, no model is loaded"]
    lines = dict.fromkeys(_model_line(spec) for spec in specs)
    if options.limit_edits is not None:
        lines[f"eac: only the first {options.limit_edits} edits (--eac-limit-edits)"] = None
    return list(lines)


def _model_line(spec: Spec) -> str:
    model = spec.model
    if model is None:
        return "eac: no model: give --eac-model or a model in the spec"
    revision = f" revision {model.revision}" if model.revision else ""
    return f"eac: model {model.id}{revision}, dtype {model.dtype}, device {model.device}"


def edits_lines(chains: Chains, pooled: Sequence[Pooled] = (), *, require: bool) -> Iterator[str]:
    """Yield the table of chains x metrics, and which chains did not run to their end.

    Args:
        chains: those of the run, each with all of its verdicts.
        pooled: the verdicts on methods over several sets of edits.
        require: whether a chain that could not run here makes the run fail.
    """
    completed = chains.completed
    yield from summary_lines(completed)
    yield from samples_lines(pooled, completed)
    yield from causality_lines(completed)
    became = "failed (--eac-require)" if require else "skipped"
    yield from dict.fromkeys(f"{spec}: {became}: {error}" for spec, error in chains.unavailable())
    for stopped in chains.unfinished:
        yield from wrapped(f"{stopped.chain.spec}: {stopped.brief}")
    for chain in completed:
        for found in diagnose(chain):
            yield from wrapped(f"{chain.name}: {found}")
