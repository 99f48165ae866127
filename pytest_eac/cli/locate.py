"""``pytest-eac locate``: the layers where a model keeps a spec's facts."""

import argparse
from pathlib import Path

from pytest_eac.cli import common
from pytest_eac.cli.common import count_from
from pytest_eac.spec.spec import Spec
from pytest_eac.untrusted_text import say, say_each


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    common.add_spec(parser)
    common.add_options(
        parser,
        (
            common.MODEL,
            ("limit-edits", count_from(1), "N", "use only the first N edits"),
            ("seed", count_from(0), "N", "seed of the noise (default: 0)"),
            ("samples", count_from(1), "N", "noise samples for each fact (default: 10)"),
            ("window", count_from(1), "N", "layers to restore together (default: a fifth of all)"),
            ("picture", Path, "FILE.svg", "draw the effects as a chart"),
            ("cache-dir", Path, "DIR", "where results and converted models are kept"),
        ),
    )


def run(chosen: argparse.Namespace) -> int:
    """Trace the spec's facts through the model, and print or draw where they are."""
    from pytest_eac.atomic_write import OutputKind
    from pytest_eac.cache.entries import Cache
    from pytest_eac.measuring.tracing import SAMPLES, trace
    from pytest_eac.reporting.tracing import tracing_lines, tracing_svg
    from pytest_eac.store import require_writable, write_text

    spec: Spec = chosen.read_spec(chosen.spec)
    model = common.choose_model(spec, chosen.model)
    if chosen.picture:
        require_writable(chosen.picture, OutputKind.PICTURE)
    loaded = common.load(model, chosen)
    with common.progress_bar("tracing", "layer") as report:
        tracing = trace(
            loaded,
            spec.edits[: chosen.limit_edits],
            seed=chosen.seed or 0,
            samples=chosen.samples or SAMPLES,
            window=chosen.window,
            cache=Cache(chosen.cache_dir),
            progress=report,
        )
    name = f"{spec.file}: {model.id}"
    say_each(tracing_lines(tracing, name))
    if chosen.picture:
        write_text(chosen.picture, tracing_svg(tracing, model.id))
        say(f"picture written to {chosen.picture}")
    return 0
