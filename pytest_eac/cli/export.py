"""``pytest-eac export``: a model is edited as a spec says, and written out."""

import argparse
from pathlib import Path
from typing import get_args

from pytest_eac.cli import common
from pytest_eac.cli.common import count_from
from pytest_eac.errors import SettingsError
from pytest_eac.records.manifest import SIGNATURE, Form
from pytest_eac.spec.spec import Spec, SpecMethod
from pytest_eac.untrusted_text import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    common.add_spec(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--as",
        dest="form",
        choices=get_args(Form),
        default="model",
        help="the whole model (default), what the edits add to it, or a PEFT adapter",
    )
    parser.add_argument(
        "--trust-task-files",
        action="store_true",
        help="run the lm-eval task files that the spec includes, which can run code",
    )
    common.add_options(
        parser,
        (
            ("method", str, "NAME", "one of the spec's methods, or a built-in one"),
            ("seed", count_from(0), "N", "the chain's seed (default: the spec's first)"),
            ("sample", count_from(0), "K", "which set of edits, if sequence.samples draws several"),
            ("rank", count_from(1), "R", "highest rank of an adapter (default: the edits' own)"),
            common.MODEL,
            (
                "sign",
                Path,
                "KEY",
                "sign the folder with this private key, a PEM file; if it is encrypted, its "
                "password is in PYTEST_EAC_SIGN_PASSWORD",
            ),
            ("limit-edits", count_from(1), "N", "make only the first N edits"),
            ("cache-dir", Path, "DIR", "where edits and converted models are kept"),
        ),
    )


def run(chosen: argparse.Namespace) -> int:
    """Run one chain of a spec and write what came of it.

    Raises:
        EacError: the chain cannot be run, or its outcome not be written.
    """
    from pytest_eac.cache.entries import Cache
    from pytest_eac.exporting.export import export_chain
    from pytest_eac.exporting.signing import open_signer
    from pytest_eac.store import require_new

    spec: Spec = chosen.read_spec(chosen.spec)
    if not chosen.trust_task_files:
        spec.require_trusted_tasks("--trust-task-files")
    model = common.choose_model(spec, chosen.model)
    require_new(chosen.out)
    signer = None if chosen.sign is None else open_signer(chosen.sign)
    method = _choose_method(spec, chosen.method)
    if chosen.limit_edits is not None:
        spec = spec.limited(chosen.limit_edits)
    spec = _choose_sample(spec, chosen.sample)
    seed = spec.seeds[0] if chosen.seed is None else chosen.seed
    with common.progress_bar("editing", "edit") as report:
        exported = export_chain(
            common.load(model, chosen),
            spec,
            method,
            chosen.out,
            form=chosen.form,
            seed=seed,
            rank=chosen.rank,
            signer=signer,
            progress=report,
            cache_dir=chosen.cache_dir,
            cache=Cache(chosen.cache_dir),
        )
    for verdict in exported.verdicts:
        say(f"{verdict.outcome}: {verdict.check}, required {verdict.required}")
    if exported.error:
        say(f"largest error of a weight: {exported.error:.3g}")
    if signer is not None:
        say(f"signed: {chosen.out / SIGNATURE}")
    say(f"written to {chosen.out}, {len(exported.edits)} edits as {exported.form}")
    return 0


def _choose_sample(spec: Spec, given: int | None) -> Spec:
    """Return the spec with one of its sets of edits.

    Raises:
        SettingsError: there are several and none was chosen, or the chosen one is not there.
    """
    known = f"0 to {spec.samples - 1}" if spec.samples > 1 else "0"
    if given is None and spec.samples > 1:
        raise SettingsError(
            f"{spec.file}: has {spec.samples} sets of edits (sequence.samples); choose one with "
            f"--sample: {known}"
        )
    if given is not None and given >= spec.samples:
        raise SettingsError(f"--sample: found {given}, expected {known}, as in {spec.file}")
    return spec.each_sample()[given or 0]


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
