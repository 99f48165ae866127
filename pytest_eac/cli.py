"""The ``pytest-eac`` helper: what pytest itself has no command for."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_eac import __version__
from pytest_eac.cache.kinds import KINDS, clear
from pytest_eac.errors import EacError, SettingsError, SpecError
from pytest_eac.exporting import command
from pytest_eac.store import default_cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.record import Tracing
    from pytest_eac.spec.choices import ModelChoice
    from pytest_eac.spec.ready import Spec


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the helper; returns the exit code: 0 fine, 1 problems found, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="pytest-eac", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pytest-eac {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    validate = commands.add_parser("validate", help="check specs without running them")
    validate.add_argument("paths", nargs="+", type=Path, metavar="SPEC", help="files or folders")
    commands.add_parser("schema", help="print the JSON Schema of a spec, for editors")
    _add_locate(commands)
    _add_compare(commands)
    _add_stats(commands)
    _add_cache(commands)
    command.add(commands)
    chosen = parser.parse_args(arguments)
    if chosen.command == "schema":
        return _schema()
    if chosen.command == "validate":
        return _validate(chosen.paths)
    try:
        return {
            "locate": _locate,
            "compare": _compare,
            "stats": _build_stats,
            "cache": _cache,
            "export": _export,
            "apply": command.apply,
        }[chosen.command](chosen)
    except EacError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _add_locate(commands: Any) -> None:
    text = "find the layers where a model keeps a spec's facts (causal tracing; docs/locate.md)"
    locate = commands.add_parser("locate", help=text, description=text)
    locate.add_argument("spec", type=Path, metavar="SPEC", help="a spec file")
    for name, kind, metavar, explained in (
        ("model", str, "ID", "hub id, folder, .gguf file, or package:NAME (over the spec's)"),
        ("limit-edits", _from(1), "N", "use only the first N edits"),
        ("seed", _from(0), "N", "seed of the noise (default: 0)"),
        ("samples", _from(1), "N", "noise samples for each fact (default: 10)"),
        ("window", _from(1), "N", "layers to restore together (default: a fifth of all)"),
        ("picture", Path, "FILE.svg", "draw the effects as a chart"),
        ("cache-dir", Path, "DIR", "where results and converted models are kept"),
    ):
        locate.add_argument(f"--{name}", type=kind, metavar=metavar, help=explained)


def _add_compare(commands: Any) -> None:
    text = "hold results files against the first of them (docs/baselines.md)"
    compare = commands.add_parser("compare", help=text, description=text)
    compare.add_argument("first", metavar="FILE", help="what --eac-results has written")
    compare.add_argument("others", nargs="+", metavar="FILE", help="later ones")
    compare.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    compare.add_argument("--metric", action="append", default=[], help="only this one (repeatable)")


def _add_stats(commands: Any) -> None:
    stats = commands.add_parser("stats", help="statistics of a model that methods read")
    text = "measure the covariances that a spec's methods read, and keep them in the cache"
    build = stats.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "build", help=text, description=text
    )
    build.add_argument("spec", type=Path, metavar="SPEC", help="a spec file")
    for name, kind, metavar, explained in (
        ("model", str, "ID", "hub id, folder, .gguf file, or package:NAME (over the spec's)"),
        ("cache-dir", Path, "DIR", "where they and converted models are kept"),
    ):
        build.add_argument(f"--{name}", type=kind, metavar=metavar, help=explained)


def _add_cache(commands: Any) -> None:
    cache = commands.add_parser("cache", help="what is kept from run to run (docs/cache.md)")
    actions = cache.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="say what is kept, and where")
    clear = actions.add_parser("clear", help="remove it; other runs make what they need again")
    clear.add_argument(
        "kinds", nargs="*", type=_kind, metavar="KIND", help=f"{', '.join(KINDS)} (default: all)"
    )
    for action in (info, clear):
        action.add_argument("--cache-dir", type=Path, metavar="DIR", help="the cache folder")


def _kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {', '.join(KINDS)}")
    return text


def _from(least: int) -> Callable[[str], int]:
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


def _schema() -> int:
    from pytest_eac.spec.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return 0


def _validate(paths: Sequence[Path]) -> int:
    from pytest_eac.spec.detect import find_specs
    from pytest_eac.spec.load import load_spec

    failed = False
    for path in paths:
        found = find_specs(path)
        if not found:
            failed = True
            sys.stderr.write(f"{path}: no spec here; a spec is a YAML file with 'eac: 1'\n")
        for file in found:
            try:
                spec = load_spec(file)
            except SpecError as error:
                failed = True
                sys.stderr.write(f"{error}\n")
            else:
                chains = len(spec.methods) * len(spec.seeds)
                sys.stdout.write(f"{file}: ok, {len(spec.edits)} edits, {chains} chains\n")
    return int(failed)


def _locate(chosen: argparse.Namespace) -> int:
    from pytest_eac.reporting.tracing import tracing_lines, tracing_svg
    from pytest_eac.spec.load import load_spec
    from pytest_eac.store import require_writable, write_text

    spec = load_spec(chosen.spec)
    model = _choose_model(spec, chosen.model)
    if chosen.picture:
        require_writable(chosen.picture)
    tracing = _trace(spec, model, chosen)
    name = f"{spec.file}: {model.id}"
    sys.stdout.write("".join(f"{line}\n" for line in tracing_lines(tracing, name)))
    if chosen.picture:
        write_text(chosen.picture, tracing_svg(tracing, model.id))
        sys.stdout.write(f"picture written to {chosen.picture}\n")
    return 0


def _compare(chosen: argparse.Namespace) -> int:
    from pytest_eac.judging.runs import Run, compare_runs
    from pytest_eac.reporting import comparison
    from pytest_eac.store import read_record

    files = (chosen.first, *chosen.others)
    runs = [Run(file=file, record=read_record(Path(file))) for file in files]
    show = {
        "table": comparison.comparison_text,
        "markdown": comparison.comparison_markdown,
        "json": comparison.comparison_json,
    }
    sys.stdout.write(show[chosen.format](compare_runs(runs, metrics=chosen.metric)))
    return 0


def _build_stats(chosen: argparse.Namespace) -> int:
    """Measure what each method of a spec needs, and tell what was found."""
    from tqdm import tqdm

    from pytest_eac.editing.covariance import second_moments
    from pytest_eac.measuring.chain import settle
    from pytest_eac.spec.load import load_spec

    spec = load_spec(chosen.spec)
    loaded = _load(_choose_model(spec, chosen.model), chosen)
    told = set()
    for method in spec.methods:
        settings, modules = settle(loaded, spec, method, cache_dir=chosen.cache_dir)
        if settings.covariance is None:
            continue
        with tqdm(desc=method.name, unit="token", leave=False, disable=None) as bar:

            def tell(done: int, total: int, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            moments = second_moments(
                loaded, modules, settings.covariance, cache_dir=chosen.cache_dir, progress=tell
            )
        for path, moment in moments.items():
            line = f"{path}: {moment.describe()}"
            if line not in told:
                sys.stdout.write(f"{line}\n")
            told.add(line)
    if not told:
        sys.stdout.write(f"{spec.file}: no method reads a covariance\n")
    return 0


def _cache(chosen: argparse.Namespace) -> int:
    from pytest_eac.cache.table import cache_lines

    root = chosen.cache_dir or default_cache_dir()
    lines = cache_lines(root)
    if chosen.action == "clear":
        wanted = dict.fromkeys(chosen.kinds or KINDS)
        lines = [f"{root}", *(f"  {kind}: {clear(root, kind)} removed" for kind in wanted)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _export(chosen: argparse.Namespace) -> int:
    from pytest_eac.spec.load import load_spec

    spec = load_spec(chosen.spec)
    model = _choose_model(spec, chosen.model)
    return command.export(chosen, spec, lambda: _load(model, chosen))


def _choose_model(spec: Spec, given: str | None) -> ModelChoice:
    from pytest_eac.spec.choices import ModelChoice

    if given:
        return ModelChoice.model_validate({"id": given})
    if spec.model is None:
        raise SettingsError(
            f"{spec.file}: no model is named; give --model or add model: to the spec"
        )
    return spec.model


def _load(model: ModelChoice, chosen: argparse.Namespace) -> LoadedModel:
    from pytest_eac.lm.load import load_model

    return load_model(
        model.id,
        revision=model.revision,
        dtype=model.dtype,
        device=model.device,
        cache_dir=chosen.cache_dir,
    )


def _trace(spec: Spec, model: ModelChoice, chosen: argparse.Namespace) -> Tracing:
    from tqdm import tqdm

    from pytest_eac.measuring.tracing import SAMPLES, trace

    loaded = _load(model, chosen)
    edits = spec.edits[: chosen.limit_edits]
    with tqdm(desc="tracing", unit="layer", leave=False, disable=None) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return trace(
            loaded,
            edits,
            seed=chosen.seed or 0,
            samples=chosen.samples or SAMPLES,
            window=chosen.window,
            cache_dir=chosen.cache_dir,
            progress=tell,
        )
