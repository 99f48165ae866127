"""A check in words: what it means, what it asks, what it is measured on, and its results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.stored_chains import find_chain
from pytest_eac.records.run import EDITED, Chain, ChainKey, Measurement, Record, Verdict
from pytest_eac.reporting.meanings import COMPARISON, meaning
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.spec import Spec, comparison_id

COMPARE = "compare"
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCheck:
    """A check of a spec, as a node id names it.

    Attributes:
        spec: the spec, with the edits of the chain's sample.
        chain: ``METHOD-sSEED``, perhaps with ``-eSAMPLE``, or ``METHOD-samples``, ``compare``,
            ``edited``.
        check: the check.
        method: the method of the chain or chains; ``None`` for a comparison or a release.
        seed: the chain's seed; ``None`` where there is no one chain.
    """

    spec: Spec
    chain: str
    check: str
    method: str | None = None
    seed: int | None = None


def explanation(asked: NamedCheck, records: Mapping[str, Record]) -> list[str]:
    """Return an explanation as lines of text.

    Args:
        asked: the check.
        records: earlier runs by the names of their files, the oldest first.
    """
    compared = asked.chain == COMPARE
    means = COMPARISON if compared else meaning(asked.check)
    spec = asked.spec
    line = spec.lines.get(asked.check)
    place = f"{spec.file}:{line}" if line else f"{spec.file}: no line asks for it"
    lines = [
        f"{spec.file}::{asked.chain}::{asked.check}",
        f"  meaning   {means.says} (docs/{means.page}.md)",
        f"  formula   {means.formula}",
        f"  required  {_required(asked)} ({place})",
        f"  measured  {_measured(asked)}",
        *_data(spec.edits if asked.seed is not None else spec.all_edits),
        *_issues(asked),
    ]
    for name, record in records.items():
        lines += [f"  in {name}", *(f"    {each}" for each in _history(asked, record))]
    return lines


def _required(asked: NamedCheck) -> str:
    spec, name = asked.spec, asked.check
    if asked.chain == COMPARE:
        found: Any = next(each for each in spec.checks.compare if comparison_id(each) == name)
        return _written(found.model_dump(exclude_unset=True))
    if name == "changed":
        changed = spec.checks.changed
        return _written(changed.model_dump(exclude_unset=True)) if changed else "no limits"
    for prop in spec.properties:
        if prop.id == name:
            return f"at most {prop.tolerance:g}" if prop.tolerance else f"{prop.name} holds"
    bounds = dict(spec.checks.named()).get(name)
    if bounds is None:
        return "what --eac-compare-fail says"
    limits = bounds.model_dump(exclude_unset=True)
    growth = limits.pop("growth", None)
    return _written(growth if name.startswith("deviation-") and growth else limits)


def _written(limits: Mapping[str, Any]) -> str:
    """Write limits as a spec has them."""
    listed = {
        key: f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else value
        for key, value in limits.items()
    }
    return ", ".join(f"{key}: {value}" for key, value in listed.items() if value is not None)


def _measured(asked: NamedCheck) -> str:
    spec = asked.spec
    if asked.chain == EDITED:
        return "on the model that --eac-edited names, once, after all edits"
    points = ", ".join(str(at) for at in spec.checkpoints)
    chain = "all chains of both methods"
    if asked.method is not None and asked.seed is None:
        chain = f"{asked.method}, mean of {spec.samples} samples, of all seeds each"
    elif asked.method is not None:
        chain = f"{asked.method}, seed {asked.seed}"
        chain += f", sample {spec.sample} of {spec.samples}" if spec.samples > 1 else ""
    return (
        f"{chain}: {len(spec.edits)} edits, {spec.batch} an update, measured after {points}; "
        f"match: {spec.scoring.match}"
    )


def _data(edits: Sequence[Edit]) -> Iterator[str]:
    paraphrases = sum(len(edit.paraphrases) for edit in edits)
    neighbours = sum(len(edit.neighborhood) for edit in edits)
    truths = sum(edit.truth is not None for edit in edits)
    yield (
        f"  data      {len(edits)} edits, {truths} with a truth; {paraphrases} paraphrases, "
        f"{neighbours} neighbours"
    )
    for edit in edits[:_SHOWN]:
        truth = edit.after(edit.prompt, edit.truth) if edit.truth else " ..."
        yield f"    {edit.origin}: {edit.prompt}{truth} -> {edit.target}"
    if len(edits) > _SHOWN:
        yield f"    and {len(edits) - _SHOWN} more, up to {edits[-1].origin}"


def _issues(asked: NamedCheck) -> Iterator[str]:
    for issue in asked.spec.known_issues:
        if issue.check == asked.check and issue.method in {None, asked.method}:
            yield f"  known     expected to fail: {issue.reason}"


def _history(asked: NamedCheck, record: Record) -> Iterator[str]:
    spec, chain = asked.spec, None
    name = spec.file.as_posix()
    verdicts: Sequence[Verdict] = [each for each in record.comparisons if each.spec == name]
    if asked.chain == EDITED:
        verdicts = [each.verdict for each in record.releases if each.spec == name and each.verdict]
        chain = next((each for each in record.chains if each.released and each.spec == name), None)
    elif asked.method is not None and asked.seed is None:
        mine = [each for each in record.pooled if each.method == asked.method]
        verdicts = [each for each in mine if each.spec == name]
    elif asked.method is not None and asked.seed is not None:
        found = [each for each in record.chains if each.released is None]
        key = ChainKey(name, asked.method, asked.seed, spec.sample)
        chain = find_chain(found, key)
        verdicts = []
    if chain is not None:
        verdicts = [*verdicts, *chain.verdicts]
    verdict = next((each for each in verdicts if each.check == asked.check), None)
    if verdict is None and chain is None:
        yield "no result of this check"
        return
    yield from f"{verdict.outcome}: {verdict.message}".split("\n") if verdict else ["not judged"]
    if chain is not None:
        failed = verdict is not None and verdict.outcome == "failed"
        in_message = failed and verdict is not None and "\n" in verdict.message
        yield from _curve(chain, asked.check, misses=not in_message)


def _curve(chain: Chain, check: str, *, misses: bool) -> Iterator[str]:
    """Yield what was measured at each checkpoint, and the misses of the last one if wanted."""
    last: Measurement | None = None
    for checkpoint in chain.checkpoints:
        found = checkpoint.metrics.get(check)
        if check.startswith(DEVIATION):
            yield f"after {checkpoint.at}: deviation {checkpoint.deviation.l1_relative:.4g} (L1)"
        elif check in checkpoint.abilities:
            ability = checkpoint.abilities[check]
            yield f"after {checkpoint.at}: {ability.value:.4g}, unedited {ability.base:.4g}"
        elif found is not None and found.value is not None:
            last = found
            count = "" if found.is_number else f" (n={found.n})"
            yield f"after {checkpoint.at}: {found.value:.4g}{count}"
    if excluded := excluded_text(chain, metric=check):
        yield excluded
    last = last or chain.measured(check)
    for miss in last.misses if last and misses else ():
        edit = chain.edits[miss.edit]
        prompt, expected = edit.asked(miss)
        yield f"missed: {edit.origin}: {prompt!r} -> {miss.got!r}, not {expected!r}"
