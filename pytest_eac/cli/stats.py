"""``pytest-eac stats build``: covariances are measured ahead of time."""

import argparse
from pathlib import Path

from pytest_eac.cli import common
from pytest_eac.spec.spec import Spec
from pytest_eac.untrusted_text import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    text = "measure the covariances that a spec's methods read, and keep them in the cache"
    build = parser.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "build", help=text, description=text
    )
    common.add_spec(build)
    kept = ("cache-dir", Path, "DIR", "where covariances and converted models are kept")
    common.add_options(build, (common.MODEL, kept))


def run(chosen: argparse.Namespace) -> int:
    """Measure what each method of a spec needs, and print what was found."""
    from pytest_eac.cache.entries import Cache
    from pytest_eac.editing.covariance import second_moments
    from pytest_eac.editing.moment import projects
    from pytest_eac.measuring.edited_layers import settle

    spec: Spec = chosen.read_spec(chosen.spec)
    cache = Cache(chosen.cache_dir)
    loaded = common.load(common.choose_model(spec, chosen.model), chosen)
    found: dict[str, None] = {}
    for method in spec.methods:
        settings, modules = settle(loaded, spec, method, cache=cache)
        if settings.covariance is None:
            continue
        with common.progress_bar(method.name, "token") as report:
            moments = second_moments(
                loaded,
                modules,
                settings.covariance,
                halves=projects(settings.update),
                cache=cache,
                progress=report,
            )
        found |= {f"{path}: {moment.describe()}": None for path, moment in moments.items()}
    say("\n".join(found) or f"{spec.file}: no method reads a covariance")
    return 0
