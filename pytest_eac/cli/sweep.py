"""``pytest-eac sweep``: values of an option are tried on a spec's edits, and one is chosen."""

import argparse
import random
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from pytest_eac.cli import common
from pytest_eac.errors import SettingsError
from pytest_eac.records.run import Record
from pytest_eac.spec.option_grid import OptionValue
from pytest_eac.spec.spec import Spec
from pytest_eac.untrusted_text import say, say_each

_KEPT = "retention"
_WITHIN = 0.05


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    common.add_spec(parser)
    parser.add_argument(
        "--set",
        dest="options",
        type=_settings,
        action="append",
        required=True,
        metavar="OPTION=VALUE,...",
        help="an option of the methods, such as value.clamp=1,2,4, and the values to try; several "
        "options are tried in every combination",
    )
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="a method of the spec, or a built-in one (repeatable; default: all of the spec's)",
    )
    parser.add_argument(
        "--split",
        action="store_true",
        help="choose by one half of the edits, and confirm the choice on the other half",
    )
    parser.add_argument(
        "--trust-task-files",
        action="store_true",
        help="run the lm-eval task files that the spec includes, which can run code",
    )
    common.add_options(
        parser,
        (
            ("keep", common.text, "METRIC", f"the share that is to be kept (default: {_KEPT})"),
            (
                "within",
                _share,
                "SHARE",
                f"how far below the highest it may be for the least deviation (default: {_WITHIN})",
            ),
            ("split-seed", common.count_from(0), "N", "seed of the halves (default: 0)"),
            ("seed", common.count_from(0), "N", "the chains' seed (default: all of the spec's)"),
            common.MODEL,
            ("limit-edits", common.count_from(1), "N", "make only the first N edits"),
            ("results", Path, "FILE.json", "write what is measured, after every chain"),
            ("report", Path, "FILE.html", "write a report of all chains"),
            ("picture", Path, "FILE.svg", "draw what each value keeps at which deviation"),
            ("cache-dir", Path, "DIR", "where edits and converted models are kept"),
        ),
    )


def _settings(text: str) -> tuple[OptionValue, ...]:
    from pytest_eac.spec.option_grid import read_settings

    try:
        return read_settings(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 0 to 1")
    return value


def run(chosen: argparse.Namespace) -> int:
    """Try every value on every method, print the tables, and write what was asked for.

    Raises:
        EacError: an option does not fit a method, the model cannot be used, ...
    """
    from pytest_eac.cache.entries import Cache
    from pytest_eac.cli.swept_chains import SweptChains, run_and_choose
    from pytest_eac.judging.swept_values import Rule
    from pytest_eac.measuring.sweep import Sweep
    from pytest_eac.reporting.sweep import sweep_lines, sweep_svg
    from pytest_eac.reporting.terminal import cached_line
    from pytest_eac.reporting.text import wrapped
    from pytest_eac.spec.option_grid import variants

    spec = _spec(chosen)
    within = _WITHIN if chosen.within is None else chosen.within
    rule = Rule(
        metric=_metric(spec, chosen.keep),
        within=within,
    )
    tried = variants(spec.methods, chosen.options)
    halves = _halves(spec, chosen.split_seed or 0) if chosen.split else (spec,)
    model = common.choose_model(spec, chosen.model)
    _require_writable(chosen)
    with common.progress_bar("sweeping", "edit") as report:
        sweep = Sweep(
            loaded=common.load(model, chosen),
            cache=Cache(chosen.cache_dir),
            cache_dir=chosen.cache_dir,
            report=report,
        )
        for half in halves:
            sweep.require_possible(half, [each.method for each in tried])
        done = SweptChains(file=chosen.results)
        choices = run_and_choose(sweep, halves, tried, rule, done)
    options = ", ".join(each[0].option for each in chosen.options)
    of = f"{spec.file}, {model.id}"
    say_each(sweep_lines(choices, rule, options=options, of=of))
    for stopped in done.stopped:
        say_each(wrapped(str(stopped)))
    say_each(cached_line(done.ended))
    _write_pages(chosen, done.record(), sweep_svg(choices, rule, options=options, of=of))
    return 1 if done.stopped else 0


def _spec(chosen: argparse.Namespace) -> Spec:
    """Read the spec, with what the options put in its place, and the first of its sets of edits."""
    spec: Spec = replace(chosen.read_spec(chosen.spec), edit_sets=())
    if not chosen.trust_task_files:
        spec.require_trusted_tasks("--trust-task-files")
    if chosen.method:
        try:
            spec = spec.with_methods(tuple(chosen.method))
        except ValueError as error:
            raise SettingsError(f"--method: {error}") from None
    if chosen.limit_edits is not None:
        spec = spec.limited(chosen.limit_edits)
    return spec if chosen.seed is None else replace(spec, seeds=(chosen.seed,))


def _metric(spec: Spec, given: str | None) -> str:
    """Return the metric that is to be kept, a share over edits of the edited model."""
    from pytest_eac.spec.metrics import RECALLED, find_metric
    from pytest_eac.spec.nearest_name import closest

    own = [name for name in spec.checks.metrics if find_metric(name).kind == "share"]
    known = (*RECALLED, *own)
    if given is not None and given not in known:
        raise SettingsError(
            f"--keep: {given!r} is no share over edits that this spec measures"
            f"{closest(given, known)}"
        )
    return given or _KEPT


def _halves(spec: Spec, seed: int) -> tuple[Spec, ...]:
    """Share the edits out at random; each half keeps the order of the spec."""
    count = len(spec.edits)
    if count < 2:
        raise SettingsError(f"{spec.file}: --split: found one edit, expected at least two")
    numbers = random.Random(seed).sample(range(1, count + 1), count)  # noqa: S311 - no secret
    halves = numbers[: (count + 1) // 2], numbers[(count + 1) // 2 :]
    return tuple(
        replace(spec.ordered(tuple(sorted(half))), sample=k) for k, half in enumerate(halves)
    )


def _require_writable(chosen: argparse.Namespace) -> None:
    from pytest_eac.atomic_write import OutputKind
    from pytest_eac.store import require_writable

    for file, kind in (
        (chosen.results, OutputKind.RESULTS),
        (chosen.report, OutputKind.REPORT),
        (chosen.picture, OutputKind.PICTURE),
    ):
        if file is not None:
            require_writable(file, kind)


def _write_pages(chosen: argparse.Namespace, record: Record, picture: str | None) -> None:
    """Write the report and the picture; the results file is there already."""
    from pytest_eac import __version__
    from pytest_eac.reporting.html.page import report_page
    from pytest_eac.store import write_text

    if chosen.results:
        say(f"results written to {chosen.results}")
    if chosen.report:
        command = shlex.join(["pytest-eac", *sys.argv[1:]])
        write_text(chosen.report, report_page(record, (), command=command, version=__version__))
        say(f"report written to {chosen.report}")
    if chosen.picture and picture:
        write_text(chosen.picture, picture)
        say(f"picture written to {chosen.picture}")
