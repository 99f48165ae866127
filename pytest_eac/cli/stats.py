"""``pytest-eac stats build``: covariances are measured ahead of time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_eac.cli.common import MODEL, add_options, add_spec, choose_model, load
from pytest_eac.untrusted_text import say

if TYPE_CHECKING:
    import argparse

    from pytest_eac.spec.spec import Spec


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    text = "measure the covariances that a spec's methods read, and keep them in the cache"
    build = parser.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "build", help=text, description=text
    )
    add_spec(build)
    kept = ("cache-dir", Path, "DIR", "where they and converted models are kept")
    add_options(build, (MODEL, kept))


def run(chosen: argparse.Namespace) -> int:
    """Measure what each method of a spec needs, and tell what was found."""
    from tqdm import tqdm

    from pytest_eac.cache.entries import Cache
    from pytest_eac.editing.covariance import second_moments
    from pytest_eac.measuring.edited_layers import settle

    spec: Spec = chosen.read_spec(chosen.spec)
    cache = Cache(chosen.cache_dir)
    loaded = load(choose_model(spec, chosen.model), chosen)
    told = set()
    for method in spec.methods:
        settings, modules = settle(loaded, spec, method, cache=cache)
        if settings.covariance is None:
            continue
        with tqdm(desc=method.name, unit="token", leave=False, disable=None) as bar:

            def report(done: int, total: int, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            moments = second_moments(
                loaded, modules, settings.covariance, cache=cache, progress=report
            )
        for path, moment in moments.items():
            line = f"{path}: {moment.describe()}"
            if line not in told:
                say(line)
            told.add(line)
    if not told:
        say(f"{spec.file}: no method reads a covariance")
    return 0
