"""What a released checkpoint has changed of its base, against what its spec allows."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_eac.records.checkpoint_diff import Changes, TensorDifference
from pytest_eac.records.run import Release, Verdict
from pytest_eac.spec.schema.checks import ChangedBounds
from pytest_eac.untrusted_text import line

_SHOWN = 20
_NAMED = 5
_NOT_LISTED = (
    "files not listed: the list of the repository's files is not on this machine, so a pickle or "
    "an adapter among them would go unnoticed; run once without --eac-offline to fetch it"
)
_STRUCTURE = {
    "added": "is not in the base",
    "removed": "is missing; the base has it",
    "renamed": "is what the base calls {was}",
    "retyped": "is {dtype}, in the base {was}",
    "reshaped": "has the shape {shape}, in the base {was}",
    "untied": "is not in the base, which shares it with the embeddings",
}


def judge_release(release: Release, bounds: ChangedBounds) -> Verdict:
    """Judge a release: each thing that is wrong has a line, which begins with its tensor or file.

    A release with nothing wrong is undecided if not all of its files are known.

    Whatever the bounds, tensors must be finite and have the names, types and shapes of the base;
    configuration and tokenizer must be the base's; a manifest must agree with the files; and a
    required signature must be valid. Other files must be the base's own, known to be harmless, or
    allowed by the spec.
    """
    wrong = [*release.signature, *release.changes.troubles, *release.broken_promises]
    wrong += (
        f"{each.name}: {each.why}"
        for each in release.changes.extra
        if not any(fnmatchcase(each.name, pattern) for pattern in bounds.files)
    )
    if bounds.manifest and not release.manifest:
        wrong.append("edit-manifest.json: is missing, and the spec asks for it (manifest: true)")
    for difference in release.changes.differences:
        wrong += (
            f"{difference.name} ({difference.file}): {trouble}"
            for trouble in _trouble_with(difference, bounds, release.changes)
        )
    required = _required(bounds)
    changed = [each for each in release.changes.differences if each.kind == "changed"]
    head = f"changed of {release.edited}: {_summary(release.changes)}; required {required}"
    shown = [f"  {line(each)}" for each in wrong[:_SHOWN]]
    more = [f"  and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
    unlisted = [] if release.changes.listed else [f"  {_NOT_LISTED}"]
    return Verdict(
        check="changed",
        outcome="failed" if wrong else "passed" if release.changes.listed else "undecided",
        observed=float(len(changed)),
        required=required,
        message="\n".join([line(head), *shown, *more, *unlisted]),
    )


def _trouble_with(
    found: TensorDifference, bounds: ChangedBounds, changes: Changes
) -> Iterator[str]:
    if found.not_finite:
        yield f"{found.not_finite} entries are NaN or infinite"
    if found.kind in _STRUCTURE:
        yield _STRUCTURE[found.kind].format(was=found.was, dtype=found.dtype, shape=found.shape)
    if found.kind != "changed":
        return
    if bounds.only is not None and not any(fnmatchcase(found.name, one) for one in bounds.only):
        yield f"is changed ({found.entries} entries), and is not one of {', '.join(bounds.only)}"
    if bounds.max_relative is not None and found.relative > bounds.max_relative:
        yield f"is changed by {found.relative:.4g} of its L1 norm, allowed {bounds.max_relative:g}"
    if bounds.max_rank is not None and found.rank is not None and found.rank > bounds.max_rank:
        yield f"is changed in rank {_rank(found.rank, changes)}, allowed {bounds.max_rank}"


def _rank(rank: int, changes: Changes) -> str:
    return str(rank) if rank <= changes.rank_limit else f"above {changes.rank_limit}"


def _summary(changes: Changes) -> str:
    moved = [each for each in changes.differences if each.kind == "changed"]
    if not changes.compared:
        return f"the release's tensors cannot be read, so none of {changes.tensors} was compared"
    text = f"{len(moved)} of {changes.tensors} tensors differ from the base"
    if not moved:
        return f"{text}{_others(changes)}"
    ranks = [each.rank for each in moved if each.rank is not None]
    highest = f", rank {_rank(max(ranks), changes)} at most" if ranks else ""
    largest = f"{max(each.relative for each in moved):.3g}"
    return f"{text}, by {largest} at most (L1, relative){highest}{_others(changes)}"


def _others(changes: Changes) -> str:
    """Name other weights, which hold no edits."""
    if not changes.unedited:
        return ""
    names = ", ".join(changes.unedited[:_NAMED])
    more = " and others" if len(changes.unedited) > _NAMED else ""
    return f"; the base's own, not edited: {names}{more}"


def _required(bounds: ChangedBounds) -> str:
    parts = [f"only {', '.join(bounds.only)}"] if bounds.only else ["the base's structure"]
    parts += [f"at most {bounds.max_relative:g} of L1"] if bounds.max_relative is not None else []
    parts += [f"rank at most {bounds.max_rank}"] if bounds.max_rank is not None else []
    parts += ["a manifest"] if bounds.manifest else []
    if bounds.signed_by is not None:
        parts.append(f"signed by {' or '.join(Path(key).name for key in bounds.signed_by)}")
    parts += [f"no other files than {', '.join(bounds.files)}"] if bounds.files else []
    return ", ".join(parts)
