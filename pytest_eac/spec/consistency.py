"""Consistency of the parts of a spec: names that must exist, counts that must fit."""

from collections.abc import Sequence
from itertools import product

from pytest_eac.spec.edits import Edit
from pytest_eac.spec.metrics import BUILT_IN, NEEDS, OF_EDITED, described
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.option_grid import OptionValue, misfits
from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.registry import METRICS, names
from pytest_eac.spec.schema.checks import CompareCheck
from pytest_eac.spec.size_limits import too_many_items, too_many_scores
from pytest_eac.spec.spec import SpecMethod, batch_trouble, comparison_id
from pytest_eac.spec.yaml.places import Where


def check_plan(draft: Draft, methods: tuple[SpecMethod, ...]) -> None:
    """Check that methods, seeds and names fit together."""
    written = draft.written
    if message := batch_trouble(written.sequence.batch, methods):
        draft.complain(("sequence", "batch"), message)
    if too_many_items(draft, methods):
        return
    for index, seed in enumerate(written.seeds):
        if seed in written.seeds[:index]:
            draft.complain(("seeds", index), f"seed {seed} is given twice")
    _check_names(draft, methods)


def _check_names(draft: Draft, methods: tuple[SpecMethod, ...]) -> None:
    names = [method.name for method in methods]
    seen = set()
    for index, comparison in enumerate(draft.written.checks.compare):
        at: Where = ("checks", "compare", index)
        for role in ("less", "more", "than"):
            name = getattr(comparison, role)
            if name is not None:
                _require_known(draft, (*at, role), name, names, "one of this spec's methods")
        if trouble := _not_at_the_end(draft, comparison.metric):
            draft.complain((*at, "metric"), trouble)
        if trouble := _unmatched(draft, comparison, methods):
            draft.complain((*at, "at_equal"), trouble)
        if comparison_id(comparison) in seen:
            draft.complain(at, "the same comparison is given twice")
        seen.add(comparison_id(comparison))
    own = [name for name, _ in draft.written.checks.named()]
    checks = own + sorted(seen) + _check_orderings(draft, own)
    checks += ["changed"] if draft.written.checks.changed else []
    for index, issue in enumerate(draft.written.known_issues):
        at = ("known_issues", index)
        _require_known(draft, (*at, "check"), issue.check, checks, "a check of this spec")
        if issue.method is None:
            continue
        at = (*at, "method")
        if issue.check in seen:
            draft.complain(at, "a comparison is of two methods; leave 'method' out")
        else:
            _require_known(draft, at, issue.method, names, "one of this spec's methods")


def _require_known(
    draft: Draft, at: Where, name: str, known: Sequence[str], what: str, *, key: bool = False
) -> None:
    if name not in known:
        draft.complain(at, f"{name!r} is not {what}{closest(name, known)}", key=key)


def _not_at_the_end(draft: Draft, metric: str) -> str | None:
    """Say why the last checkpoint has nothing of a metric or ability, if so."""
    abilities = draft.written.checks.abilities
    if metric in {*OF_EDITED, *draft.written.checks.metrics}:
        return None
    if metric not in abilities:
        group = "metrics" if metric in names(METRICS) else "abilities"
        return f"{metric!r} is not measured; add it to checks.{group}"
    if isinstance(abilities[metric].at, int):
        return f"{metric!r} is not measured at the end; give it at: final or every"
    return None


def _check_orderings(draft: Draft, checks: list[str]) -> list[str]:
    """Check ``orderings`` against the other parts; return the names of its items."""
    orderings = draft.written.orderings
    if orderings is None:
        return []
    for index, name in enumerate(orderings.hold or ()):
        at: Where = ("orderings", "hold", index)
        _require_known(draft, at, name, checks, "a check of this spec")
        if name in checks and name in BUILT_IN and BUILT_IN[name].asked == "unedited":
            draft.complain(at, f"{name!r} is of the unedited model: no order can change it")
    measured = (*OF_EDITED, *draft.written.checks.metrics)
    for name in orderings.spread:
        at = ("orderings", "spread", name)
        _require_known(draft, at, name, measured, "a metric that this spec measures", key=True)
    properties = orderings.properties(draft.written.checks)
    if not properties:
        message = "nothing is checked; expected a check to hold, a spread or a state"
        draft.complain(("orderings",), message, key=True)
    if "interleaving" in orderings.kinds and draft.written.sequence.batch == 1:
        message = "an interleaving mixes batches, and sequence.batch is 1: take permutation instead"
        draft.complain(("orderings", "kinds"), message, key=True)
    return [each.id for each in properties]


def check_data(draft: Draft, sets: tuple[tuple[Edit, ...], ...]) -> None:
    """Check that there are edits for what the other parts ask for, in each set of edits."""
    for edits in sets:
        before = len(draft.problems)
        _check_set(draft, edits)
        if len(draft.problems) > before:
            return


def _check_set(draft: Draft, edits: tuple[Edit, ...]) -> None:
    checks = draft.written.checks
    _check_orderings_data(draft, edits)
    count = len(edits)
    if too_many_scores(draft, count):
        return
    for index, at in enumerate(draft.written.sequence.checkpoints):
        if message := _no_checkpoint(draft, at, count):
            draft.complain(("sequence", "checkpoints", index), message)
    for name, bounds in checks.named():
        last = getattr(bounds, "at", None)
        if isinstance(last, int) and (message := _no_checkpoint(draft, last, count)):
            draft.complain((*draft.place(name), "at"), message)
        need = described(name).needs
        if need and not any(getattr(edit, need) for edit in edits):
            message = f"no edit has {NEEDS[need]} to measure it on"
            draft.complain(draft.place(name), message, key=True)
    if draft.written.scoring.match == "success":
        _check_success(draft, edits)


def _check_orderings_data(draft: Draft, edits: tuple[Edit, ...]) -> None:
    orderings = draft.written.orderings
    if orderings is None:
        return
    if len(edits) == 1:
        message = "a single edit has no order; expected two edits or more"
        draft.complain(("orderings",), message, key=True)
    if "conflict" in orderings.kinds and not any(edit.truth for edit in edits):
        message = "no edit has a truth to put back, as a conflicting edit does"
        draft.complain(("orderings", "kinds"), message, key=True)


def _no_checkpoint(draft: Draft, at: int, count: int) -> str | None:
    """Say why the model cannot be measured after ``at`` edits, if so."""
    batch = draft.written.sequence.batch
    if at > count:
        return f"found {at}, expected at most the number of edits, {count}"
    if at % batch and at != count:
        return f"found {at}, expected a multiple of the batch, {batch}: edits come in batches"
    return None


def _check_success(draft: Draft, edits: tuple[Edit, ...]) -> None:
    for edit in edits:
        if edit.truth is None:
            draft.complain(
                ("scoring", "match"),
                f"success asks whether the target is likelier than the truth, but the edit at "
                f"{edit.origin} ({edit.subject}) has no truth; add it or take match: accuracy",
            )
            return


def _unmatched(draft: Draft, comparison: CompareCheck, methods: Sequence[SpecMethod]) -> str | None:
    """Say why two methods cannot be run at the strengths of a matched comparison, if so."""
    if (at_equal := comparison.at_equal) is None:
        return None
    if draft.written.sequence.samples > 1:
        return (
            "compares two methods on one set of edits, at several strengths; expected "
            "sequence: {samples: 1}, or a comparison without at_equal"
        )
    settings = [OptionValue(option=at_equal.by, value=each) for each in at_equal.values or (1,)]
    compared = [each for each in methods if each.name in {comparison.subject, comparison.than}]
    for method, setting in product(compared, settings):
        for message in misfits(method, (setting,)):
            return (
                f"{method.name} cannot be run with {setting} ({message}); name an option that both "
                "methods have, with 'by' and 'values'"
            )
    return None
