"""A released model is compared with its base: what was changed, and what it answers."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from time import perf_counter

from pytest_eac.errors import ModelError
from pytest_eac.lm.identity import identify
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.loading.model_folder import ListedFile
from pytest_eac.lm.loading.untrusted_files import read_text, require_inside
from pytest_eac.measuring.chain import Progress
from pytest_eac.measuring.checkpoint import find_metrics, measure_checkpoint
from pytest_eac.measuring.checkpoint_diff import RANK_LIMIT, compare_checkpoints
from pytest_eac.measuring.deviation import norms
from pytest_eac.measuring.environment import describe_model
from pytest_eac.measuring.feasibility import require_askable
from pytest_eac.measuring.manifest_check import broken_promises, other_base, promises
from pytest_eac.measuring.recall import EditedModel
from pytest_eac.measuring.unedited import AskOptions, ask_unedited
from pytest_eac.records.checkpoint_diff import TensorDifference
from pytest_eac.records.manifest import MANIFEST, Manifest, manifest_from_json
from pytest_eac.records.run import EDITED, Chain, Deviation, Norms, Release
from pytest_eac.scoring.asker import as_loaded
from pytest_eac.spec.spec import Spec


def inspect_release(
    spec: Spec,
    base: Path,
    edited: Path,
    *,
    files: Sequence[ListedFile] = (),
    base_files: Sequence[ListedFile] = (),
    listed: bool = True,
    names: tuple[str, str] | None = None,
    revision: str | None = None,
    limited: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Release:
    """Compare a released checkpoint with its base, and with its manifest if it has one.

    Args:
        spec: says which edits the release is to hold, and how far ranks are to be counted.
        base: the base's folder.
        edited: the release's folder.
        files: what its repository lists, besides the files of its folder.
        base_files: what the base's repository lists, likewise.
        listed: whether that list is complete.
        names: what the two are called by the user; by default their folders.
        revision: the base's commit, if the user has chosen it.
        limited: whether the spec has lost edits, so that the release may hold more of them.
        progress: called with (tensors done, tensors in all).

    Raises:
        ModelError: the base cannot be read, or a file changes meanwhile.
    """
    bounds = spec.checks.changed
    wanted = bounds.max_rank if bounds and bounds.max_rank else 0
    changes = compare_checkpoints(
        base,
        edited,
        files=files,
        base_files=base_files,
        rank_limit=max(RANK_LIMIT, wanted),
        progress=progress,
    )
    base_name, edited_name = names or (str(base), str(edited))
    broken: list[str] = []
    there = (edited / MANIFEST).is_file()
    if there:
        try:
            manifest = read_manifest(edited)
        except ModelError as error:
            broken.append(str(error).removeprefix(f"{edited}/"))
        else:
            broken += broken_promises(manifest, changes, spec, limited=limited)
            broken += other_base(manifest, base_name, revision)
    return Release(
        spec=spec.file.as_posix(),
        base=base_name,
        edited=edited_name,
        changes=replace(changes, listed=listed),
        manifest=there,
        broken_promises=tuple(broken),
    )


def read_manifest(folder: Path, *, signed: str | None = None) -> Manifest:
    """Read the manifest of an export.

    Args:
        folder: the export.
        signed: the SHA-256 that its signature lists for the manifest.

    Raises:
        ModelError: there is none, or it is none, is a link out of the folder, or is not what was
            signed.
    """
    path = folder / MANIFEST
    require_inside(folder, [MANIFEST])
    text = read_text(path)
    if signed is not None and hashlib.sha256(text.encode()).hexdigest() != signed:
        raise ModelError(f"{path}: is not what was signed; was it replaced meanwhile?")
    try:
        return manifest_from_json(text)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def with_released_sample(spec: Spec, edited: Path) -> Spec:
    """Return a spec with the set of edits that a release's manifest lists, if it has several sets.

    Without a manifest, or with one of other edits, it is the first set.

    Args:
        spec: whose edits the release is to hold.
        edited: the folder of the release.
    """
    if spec.samples == 1 or not (edited / MANIFEST).is_file():
        return spec
    try:
        promised = read_manifest(edited).edits
    except ModelError:  # reported where the release is compared
        return spec
    for each in spec.each_sample():
        if promises(promised, each.edits):
            return replace(each, sample=0)  # a release is one chain, whichever set it holds
    return spec


def measure_release(
    spec: Spec,
    release: Release,
    *,
    load_base: Callable[[], LoadedModel],
    load_edited: Callable[[], LoadedModel],
    options: AskOptions | None = None,
    progress: Progress = lambda *_: None,
) -> Chain:
    """Measure a model that somebody else has edited, once, as after the last edit.

    The base is asked first and let go before the released model is loaded: the two are never held
    together. What the base's ``LoadedModel`` has in memory is gone afterwards.

    Args:
        spec: the facts, the checks and the scoring.
        release: what :func:`inspect_release` found; the deviation is taken from it.
        load_base: loads the base.
        load_edited: loads the released model.
        options: how the two are asked.
        progress: called with (edits, edits in all, what is being done).

    Raises:
        EditError: a prompt or an answer cannot be scored.
        ModelError: a model cannot be used, its files change meanwhile, or the two do not share
            their tokenizer.
        NonFiniteError: a weight or logit is NaN or infinite.
    """
    start = perf_counter()
    options = options or AskOptions()
    count = len(spec.edits)
    metrics = find_metrics(spec.checks.metrics)
    progress(0, count, asking := "asking the base")
    base = load_base()
    tokenizer = identify(base)["tokenizer"]
    require_askable(base, spec)
    unedited = ask_unedited(
        base, spec, options, report=lambda name: progress(0, count, f"{asking}, {name}")
    )
    base.require_files()
    base.model.to("meta")  # its memory is free now, whoever still holds it
    progress(count, count, "loading the released model")
    edited = load_edited()
    if identify(edited)["tokenizer"] != tokenizer:
        raise ModelError(
            f"{release.edited}: its tokenizer is not that of {release.base}: their answers cannot "
            "be compared"
        )
    edited_record = describe_model(edited)
    progress(count, count, "measuring")
    answers = unedited.answers
    asker = replace(answers.asker, state=as_loaded(edited, options.cache))
    point = measure_checkpoint(
        EditedModel(unedited=answers, asker=asker, count=count),
        spec,
        metrics,
        abilities=unedited.abilities,
        deviation=_deviation(release.changes.differences),
        report=lambda name: progress(count, count, f"measuring, {name}"),
    )
    edited.require_files()
    return replace(
        unedited.record(spec, EDITED, seed=0),
        released=edited_record,
        checkpoints=(point,),
        seconds=perf_counter() - start,
    )


def _deviation(differences: Sequence[TensorDifference]) -> Deviation:
    """Return the deviation over all tensors that changed, taken as one, and for each."""
    # A tensor that differs in the sign of its zeros alone has not moved.
    changed = [each for each in differences if each.kind == "changed" and each.l1 > 0]
    whole = norms(
        sum(each.l1 for each in changed),
        sum(each.base_l1 for each in changed),
        sqrt(sum(each.frobenius**2 for each in changed)),
        sqrt(sum(each.base_frobenius**2 for each in changed)),
    )
    return Deviation(
        **whole,
        by_parameter={
            each.name: Norms(**norms(each.l1, each.base_l1, each.frobenius, each.base_frobenius))
            for each in changed
        },
    )
