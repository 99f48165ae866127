"""``pytest-eac apply``: an export's deltas are added to its base, or taken away again."""

import argparse
from pathlib import Path

from pytest_eac.untrusted_text import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument("deltas", type=Path, metavar="DELTAS", help="the folder of the export")
    parser.add_argument("model", metavar="MODEL", help="the base; with --reverse, the edited model")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--reverse", action="store_true", help="take the deltas away")
    parser.add_argument(
        "--signed-by",
        type=Path,
        action="append",
        metavar="KEY.pub",
        help="apply only deltas that are signed with the private key of this public key, a PEM "
        "file (repeatable: any one of the keys will do)",
    )
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="of converted models")


def run(chosen: argparse.Namespace) -> int:
    """Write a model with an export's deltas added or taken away.

    Raises:
        EacError: the model or the deltas are not what they should be, or cannot be written.
    """
    from pytest_eac.exporting.deltas import apply_deltas
    from pytest_eac.lm.loading.find import find_model
    from pytest_eac.records.manifest import MANIFEST
    from pytest_eac.signatures import require_signed
    from pytest_eac.store import new_folder, require_new

    require_new(chosen.out)
    signed = None
    if chosen.signed_by:
        signed = require_signed(chosen.deltas, chosen.signed_by).get(MANIFEST, "")
    model = find_model(chosen.model, cache_dir=chosen.cache_dir).folder
    exact = new_folder(
        chosen.out,
        lambda folder: apply_deltas(
            chosen.deltas, model, folder, reverse=chosen.reverse, signed=signed
        ),
    )
    how = "exactly" if exact else "up to rounding (exact.safetensors is not there)"
    done = "taken away" if chosen.reverse else "added"
    say(f"written to {chosen.out}: deltas {done} {how}")
    return 0
