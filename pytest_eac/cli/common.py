"""What several commands have in common: options, and the model that is chosen by them."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_eac.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.schema.methods import ModelChoice
    from pytest_eac.spec.spec import Spec


def text(given: str) -> str:
    """Return an option's value, which must not be empty: as that of a variable that is not set.

    Raises:
        argparse.ArgumentTypeError: it is.
    """
    if not given.strip():
        raise argparse.ArgumentTypeError(
            "found an empty value; is a variable of the shell not set?"
        )
    return given


MODEL = ("model", text, "ID", "hub id, folder, .gguf file, or package:NAME (overrides the spec)")
Option = tuple[str, Any, str, str]


def add_spec(parser: argparse.ArgumentParser) -> None:
    """Add the spec as an argument."""
    parser.add_argument("spec", type=Path, metavar="SPEC", help="a spec file")


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Add options that take a value, each a name, a type, a metavar and a help text."""
    for name, kind, metavar, explained in options:
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=explained)


def count_from(least: int) -> Callable[[str], int]:
    """Return an option's type: a whole number that is at least ``least``."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**32:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected a whole number from {least}"
            )
        return value

    return number


def choose_model(spec: Spec, given: str | None) -> ModelChoice:
    """Return the model given on the command line, or else the spec's.

    Raises:
        SettingsError: neither names one.
    """
    from pytest_eac.spec.schema.methods import ModelChoice

    if given is not None:
        return ModelChoice.model_validate({"id": given})
    if spec.model is None:
        raise SettingsError(
            f"{spec.file}: no model is named; give --model or add model: to the spec"
        )
    return spec.model


@contextmanager
def progress_bar(doing: str, unit: str) -> Iterator[Callable[..., None]]:
    """Show a bar on a terminal; yields what moves it, given ``done``, ``total`` and ``doing``."""
    from tqdm import tqdm

    with tqdm(unit=unit, leave=False, disable=None) as bar:

        def report(done: int, total: int, doing: str = doing) -> None:
            bar.total = total
            bar.set_description(doing, refresh=False)
            bar.update(done - bar.n)

        yield report


def load(model: ModelChoice, chosen: argparse.Namespace) -> LoadedModel:
    """Load a model; converted ones are kept in the cache folder that is given."""
    from tqdm import tqdm

    from pytest_eac.lm.loading.load import load_model

    with tqdm(bar_format="{desc}", leave=False, disable=None) as bar:
        return load_model(
            model.id,
            revision=model.revision,
            dtype=model.dtype,
            device=model.device,
            cache_dir=chosen.cache_dir,
            report=bar.set_description_str,
        )
