"""An export: a chain's edits as a folder that says what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac import __version__
from pytest_eac.errors import EditError
from pytest_eac.exporting.card import model_card
from pytest_eac.exporting.deltas import DELTAS, EXACT, write_deltas
from pytest_eac.exporting.edited_chain import run_and_keep
from pytest_eac.exporting.lora import ADAPTER, write_lora
from pytest_eac.exporting.signing import sign_folder
from pytest_eac.exporting.whole import write_model
from pytest_eac.judging.checks import judge
from pytest_eac.lm.loading.find import find_model
from pytest_eac.lm.loading.tensors import fingerprint_of, open_checkpoint
from pytest_eac.lm.loading.unchanged_files import model_file_sha256
from pytest_eac.records.manifest import (
    MANIFEST,
    ChangedTensor,
    Fact,
    Finding,
    Manifest,
    Origin,
    manifest_to_json,
)
from pytest_eac.records.run import converted
from pytest_eac.store import new_folder, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_signing import signing

    from pytest_eac.cache.entries import Cache
    from pytest_eac.exporting.edited_chain import Edited, WeightChange
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.lm.loading.tensors import CheckpointFolder
    from pytest_eac.measuring.chain import Progress
    from pytest_eac.records.manifest import Form
    from pytest_eac.spec.spec import Spec, SpecMethod


def export_chain(
    loaded: LoadedModel,
    spec: Spec,
    method: SpecMethod,
    out: Path,
    *,
    form: Form = "model",
    seed: int = 0,
    rank: int | None = None,
    signer: signing.Config | None = None,
    progress: Progress = lambda *_: None,
    cache_dir: Path | None = None,
    cache: Cache | None = None,
) -> Manifest:
    """Edit a model as a spec says and write what came of it; the loaded model is unedited again.

    The folder holds the whole model (``model``), what the edits add to it (``deltas``) or a PEFT
    adapter (``lora``), and beside that ``edit-manifest.json`` and a model card. It is there whole
    or not at all.

    Args:
        loaded: the unedited model.
        spec: the edits, and the checks whose verdicts go with them.
        method: one of the spec's methods.
        out: a folder that is new or empty.
        form: what to write.
        seed: the chain's.
        rank: the highest rank of an adapter; by default that of the edits.
        signer: what to sign the folder with, from :func:`pytest_eac.exporting.signing.open_signer`.
        progress: as for :class:`pytest_eac.measuring.chain.RunOptions`.
        cache_dir: likewise.
        cache: as for :func:`pytest_eac.run_chain`.

    Raises:
        EacError: as :func:`pytest_eac.run_chain` does.
        EditError: no edit has changed a weight.
        ModelError: the weights are not in the base's checkpoint as they were edited.
        UnavailableError: ``lora`` needs peft, and it is not installed.
        RecordError: the folder is not empty, or cannot be written.
    """
    found = find_model(loaded.id, revision=_asked_revision(loaded), cache_dir=cache_dir)
    base = open_checkpoint(found.folder)

    def build(part: Path) -> Manifest:
        edited = run_and_keep(
            loaded, spec, method, seed=seed, progress=progress, cache_dir=cache_dir, cache=cache
        )
        if not edited.changes:
            raise EditError(f"{method.name}: no edit has changed a weight; nothing was exported")
        changes = {base.find(each.module, each.before).name: each for each in edited.changes}
        error = 0.0
        if form == "model":
            write_model(base, {name: each.after for name, each in changes.items()}, part)
        elif form == "deltas":
            write_deltas(changes, part)
        else:
            error = write_lora(edited.changes, part, base=loaded.id, rank=rank)
        manifest = _manifest(spec, edited, changes, base, part, form=form, error=error)
        write_text(part / MANIFEST, manifest_to_json(manifest))
        write_text(part / "README.md", model_card(manifest))
        loaded.require_files()
        if signer is not None:
            sign_folder(part, signer, name=out.resolve().name)
        return manifest

    return new_folder(out, build)


def _asked_revision(loaded: LoadedModel) -> str | None:
    """Return a hub commit; what a file has as its revision is a hash of its content."""
    revision = loaded.revision
    return None if revision is None or revision.startswith("sha256:") else revision


def _manifest(
    spec: Spec,
    edited: Edited,
    changes: Mapping[str, WeightChange],
    base: CheckpointFolder,
    folder: Path,
    *,
    form: Form,
    error: float,
) -> Manifest:
    chain = edited.chain
    before = base.hashes()
    after = {name: base.tensors[name].sha256_of([each.after]) for name, each in changes.items()}
    written = [folder / name for name in (DELTAS, EXACT, ADAPTER) if (folder / name).is_file()]
    return Manifest(
        form=form,
        base=converted(Origin, chain.model, fingerprint=fingerprint_of(before)),
        edited_fingerprint=fingerprint_of({**before, **after}),
        spec=spec.name,
        method=chain.method,
        seed=chain.seed,
        hyperparameters=chain.hyperparameters,
        contexts=chain.contexts,
        edits=tuple(converted(Fact, edit.texts) for edit in chain.edits),
        changed={name: ChangedTensor(before=before[name], after=after[name]) for name in changes},
        files={path.name: model_file_sha256(path) for path in written},
        error=error,
        verdicts=tuple(converted(Finding, each) for each in judge(chain, spec.checks, spec.stats)),
        version=__version__,
    )
