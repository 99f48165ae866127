"""The helper's commands ``export`` and ``apply``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pytest_eac.errors import SettingsError
from pytest_eac.manifest import Form

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.ready import Spec, SpecMethod


def add(commands: Any) -> None:
    """Declare both commands."""
    text = "edit a model as a spec says, and write it out (docs/export.md)"
    export = commands.add_parser("export", help=text, description=text)
    export.add_argument("spec", type=Path, metavar="SPEC", help="a spec file")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    export.add_argument(
        "--as",
        dest="form",
        choices=get_args(Form),
        default="model",
        help="the whole model (default), what the edits add to it, or a PEFT adapter",
    )
    for name, kind, metavar, explained in (
        ("method", str, "NAME", "one of the spec's methods, or a built-in one"),
        ("seed", int, "N", "the chain's seed (default: the spec's first)"),
        ("rank", int, "R", "highest rank of an adapter (default: as the edits have it)"),
        ("model", str, "ID", "hub id, folder, .gguf file, or package:NAME (over the spec's)"),
        ("limit-edits", int, "N", "make only the first N edits"),
        ("cache-dir", Path, "DIR", "where edits and converted models are kept"),
    ):
        export.add_argument(f"--{name}", type=kind, metavar=metavar, help=explained)
    text = "add an export's deltas to its base, or take them away again (docs/export.md)"
    apply = commands.add_parser("apply", help=text, description=text)
    apply.add_argument("deltas", type=Path, metavar="DELTAS", help="the folder of the export")
    apply.add_argument("model", metavar="MODEL", help="the base; with --reverse, the edited model")
    apply.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    apply.add_argument("--reverse", action="store_true", help="take the deltas away")
    apply.add_argument("--cache-dir", type=Path, metavar="DIR", help="of converted models")


def export(chosen: argparse.Namespace, spec: Spec, load: Callable[[], LoadedModel]) -> int:
    """Run one chain of a spec and write what came of it; returns the exit code.

    Raises:
        EacError: the chain cannot be run, or its outcome not be written.
    """
    from tqdm import tqdm

    from pytest_eac.cache.entries import Cache
    from pytest_eac.exporting.export import export_chain
    from pytest_eac.store import require_new

    for name, least in (("rank", 1), ("limit_edits", 1), ("seed", 0)):
        found = getattr(chosen, name)
        if found is not None and found < least:
            option = name.replace("_", "-")
            raise SettingsError(f"--{option}: found {found}, expected a whole number from {least}")
    require_new(chosen.out)
    method = _choose_method(spec, chosen.method)
    if chosen.limit_edits is not None:
        spec = spec.limited(chosen.limit_edits)
    seed = spec.seeds[0] if chosen.seed is None else chosen.seed
    with tqdm(desc="editing", unit="edit", leave=False, disable=None) as bar:

        def tell(done: int, total: int, doing: str) -> None:
            bar.total = total
            bar.set_description(doing, refresh=False)
            bar.update(done - bar.n)

        exported = export_chain(
            load(),
            spec,
            method,
            chosen.out,
            form=chosen.form,
            seed=seed,
            rank=chosen.rank,
            progress=tell,
            cache_dir=chosen.cache_dir,
            cache=Cache(chosen.cache_dir),
        )
    for verdict in exported.verdicts:
        sys.stdout.write(f"{verdict.outcome}: {verdict.check}, required {verdict.required}\n")
    if exported.error:
        sys.stdout.write(f"largest error of a weight: {exported.error:.3g}\n")
    sys.stdout.write(f"written to {chosen.out}, {len(exported.edits)} edits as {exported.form}\n")
    return 0


def apply(chosen: argparse.Namespace) -> int:
    """Write a model with an export's deltas added or taken away; returns the exit code.

    Raises:
        EacError: the model or the deltas are not what they should be, or cannot be written.
    """
    from pytest_eac.exporting.deltas import apply_deltas
    from pytest_eac.lm.checkpoint import find_checkpoint
    from pytest_eac.store import new_folder

    model = find_checkpoint(chosen.model, cache_dir=chosen.cache_dir)
    exact = new_folder(
        chosen.out,
        lambda folder: apply_deltas(chosen.deltas, model, folder, reverse=chosen.reverse),
    )
    how = "exactly" if exact else "up to rounding (exact.safetensors is not there)"
    done = "taken away" if chosen.reverse else "added"
    sys.stdout.write(f"written to {chosen.out}: deltas {done} {how}\n")
    return 0


def _choose_method(spec: Spec, given: str | None) -> SpecMethod:
    if given is None:
        if len(spec.methods) == 1:
            return spec.methods[0]
        names = ", ".join(each.name for each in spec.methods)
        raise SettingsError(f"{spec.file}: has several methods; choose one with --method: {names}")
    try:
        return spec.with_methods((given,)).methods[0]
    except ValueError as error:
        raise SettingsError(f"--method: {error}") from None
