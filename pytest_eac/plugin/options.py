"""Command-line options and ini values; an ini name is the option's with underscores."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_eac.plugin import option_values as read
from pytest_eac.plugin.project_settings import require_own_settings
from pytest_eac.spec.orders import Order, read_order

# What stands for a value in the help, what reads it, and the help.
_VALUES: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "model": (
        "ID",
        str,
        "model to edit: hub id, folder, .gguf file, or package:NAME (overrides the spec)",
    ),
    "revision": ("REV", str, "branch, tag or commit of a hub model"),
    "dtype": ("DTYPE", read.dtype, "auto, float32, bfloat16 or float16 (overrides the spec)"),
    "device": ("DEVICE", str, "auto, cpu, cuda, cuda:1, ... (overrides the spec)"),
    "edited": ("PATH_OR_ID", str, "gate an already edited model; --eac-model is its base"),
    "edited-revision": ("REV", str, "branch, tag or commit of an edited hub model"),
    "limit-edits": ("N", read.whole_number(1), "use only the first N edits of each spec"),
    "orderings": (
        "N",
        read.whole_number(0),
        "draw N orders of the edits uniformly where a spec has orderings; 0 tries none",
    ),
    "results": ("FILE", Path, "write the records of all chains to FILE (JSON)"),
    "from-results": (
        "FILE",
        Path,
        "judge the records in FILE with today's specs; no model is loaded",
    ),
    "summary": ("FILE", Path, "write verdicts and tables to FILE as Markdown (docs/ci.md)"),
    "report": ("FILE", Path, "write a report to FILE, as one HTML page (docs/report.md)"),
    "baseline": ("FILE", Path, "compare with the records in FILE, made by --eac-update-baseline"),
    "cache-dir": ("DIR", Path, "where models, covariances, edits and measurements are kept"),
    "cache-size": (
        "GIB",
        read.gibibytes,
        "keep at most GIB GiB of edits and measurements (default: 4)",
    ),
}
_LISTS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "method": ("NAME", str, "run only this method (repeatable; overrides the spec)"),
    "seed": ("N", read.whole_number(0), "use only this seed (repeatable; overrides the spec)"),
    "order": (
        "ORDER",
        read_order,
        "try this order of the edits, such as 3,1, instead of drawing orders (repeatable)",
    ),
    "compare-fail": (
        "METRIC:TOLERANCE",
        read.tolerance,
        "fail if METRIC is worse than in the baseline by more than TOLERANCE, such as "
        "locality:2%% (repeatable)",
    ),
    "compare-across": (
        "WHAT",
        read.across,
        "compare also with a baseline of other hyperparameters, or of another batch (repeatable, "
        "or separated by commas)",
    ),
}
_FLAGS = {
    "update-baseline": "compare with the baseline, then store this run's records in its place",
    "results-without-texts": "write results and baseline with SHA-256 in place of edits' texts",
    "no-cache": "recompute everything; do not use the cache",
    "offline": "take hub models from the local cache only",
    "require": "fail, instead of skip, when a model or device is missing or data are too few",
    "trust-remote-code": "run the code that a base model brings; that of a release is never run",
    "trust-task-files": "run the lm-eval task files that specs include, which can run code",
}
_FIELDS = {"method": "methods", "seed": "seeds", "order": "orders"}


def add_options(parser: pytest.Parser) -> None:
    """Declare every option, and every ini value of the same name."""
    group = parser.getgroup("eac", "editing language models (pytest-eac)")
    for name, (metavar, _, text) in _VALUES.items():
        group.addoption(f"--eac-{name}", metavar=metavar, default=None, help=text)
        parser.addini(_ini(name), text, default=None)
    for name, (metavar, _, text) in _LISTS.items():
        group.addoption(f"--eac-{name}", metavar=metavar, action="append", default=[], help=text)
        parser.addini(_ini(name), text, type="args", default=[])
    for name, text in _FLAGS.items():
        group.addoption(f"--eac-{name}", action="store_true", default=False, help=text)
        parser.addini(_ini(name), text, type="bool", default=False)


def _ini(name: str) -> str:
    return f"eac_{name.replace('-', '_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options in force (the command line overrides the ini file); ``cache_size`` is in GiB."""

    model: str | None
    revision: str | None
    dtype: str | None
    device: str | None
    edited: str | None
    edited_revision: str | None
    limit_edits: int | None
    orderings: int | None
    orders: tuple[Order, ...]
    results: Path | None
    from_results: Path | None
    summary: Path | None
    report: Path | None
    baseline: Path | None
    compare_fail: tuple[tuple[str, float], ...]
    compare_across: tuple[str, ...]
    update_baseline: bool
    results_without_texts: bool
    cache_dir: Path | None
    cache_size: float | None
    no_cache: bool
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    offline: bool
    require: bool
    trust_remote_code: bool
    trust_task_files: bool

    @property
    def of_chains(self) -> tuple[str, ...]:
        """The options that say which chains there are, as arguments of a command line."""
        given = [(name, getattr(self, name)) for name in ("model", "revision", "dtype", "device")]
        given += [("limit-edits", self.limit_edits)]
        given += [("method", each) for each in self.methods]
        given += [("seed", each) for each in self.seeds]
        return tuple(f"--eac-{name}={each}" for name, each in given if each is not None)


def read_options(config: pytest.Config) -> Options:
    """Read all options.

    Raises:
        pytest.UsageError: a value is not of its option's kind, or options do not go together.
    """
    _require_values(config)
    require_own_settings(config, {f"--eac-{name}" for name in (*_VALUES, *_LISTS)})
    found: dict[str, Any] = {}
    for name in (*_VALUES, *_LISTS, *_FLAGS):
        given = config.getoption(f"--eac-{name}") or config.getini(_ini(name))
        field = _FIELDS.get(name, name.replace("-", "_"))
        if name in _FLAGS:
            found[field] = bool(given)
        elif name in _VALUES:
            found[field] = _read(config, name, given) if given else None
        else:
            if name == "compare-across":
                # An ini value "a, b" comes as "a," and "b".
                given = [each.strip() for text in given for each in text.strip(", ").split(",")]
            found[field] = tuple(dict.fromkeys(_read(config, name, text) for text in given))
    options = Options(**found)
    _require_consistent(config, options)
    if not hasattr(config, "workerinput"):  # workers write none of the files
        _require_writable(config, options)
    return options


def _read(config: pytest.Config, name: str, text: str) -> Any:
    reader = (_VALUES | _LISTS)[name][1]
    try:
        value = reader(text)
    except ValueError as error:
        raise pytest.UsageError(f"--eac-{name}: {error}") from None
    return config.invocation_params.dir / value if isinstance(value, Path) else value


def _require_values(config: pytest.Config) -> None:
    """Refuse an option without a value: a run that did without it would test something else."""
    for name in (*_VALUES, *_LISTS):
        given = config.getoption(f"--eac-{name}")
        texts = given if isinstance(given, list) else [] if given is None else [given]
        if not all(text.strip() for text in texts):
            raise pytest.UsageError(
                f"--eac-{name}: found an empty value; is a variable of the shell not set? Leave "
                "out what is not given"
            )


def _require_consistent(config: pytest.Config, options: Options) -> None:
    for name in ("compare_fail", "compare_across", "update_baseline"):
        if getattr(options, name) and options.baseline is None:
            raise pytest.UsageError(
                f"--eac-{name.replace('_', '-')}: there is no baseline; give --eac-baseline=FILE"
            )
    if options.edited is None:
        return
    if options.from_results:
        raise pytest.UsageError(
            "--eac-from-results: stored records are of edits; a released model (--eac-edited) has "
            "to be measured"
        )
    if options.methods or options.seeds:
        raise pytest.UsageError(
            "--eac-edited: nothing is edited then, so --eac-method and --eac-seed have no effect"
        )
    if config.getoption("--eac-compare-fail"):
        raise pytest.UsageError(
            "--eac-edited: a released model has no baseline checks, so --eac-compare-fail has no "
            "effect; give limits in the spec"
        )


def _require_writable(config: pytest.Config, options: Options) -> None:
    """Find out before any work is done whether each output can be written to a file of its own."""
    replaced = options.baseline if options.update_baseline else None
    if not any((options.results, options.summary, options.report, replaced)):
        return
    from pytest_eac.atomic_write import OutputKind
    from pytest_eac.errors import RecordError
    from pytest_eac.plugin.output_conflicts import is_shared, require_own_files
    from pytest_eac.store import require_writable

    if replaced and replaced.exists() and not replaced.is_file():
        raise pytest.UsageError(
            f"--eac-baseline: {replaced}: is not a file; --eac-update-baseline reads the old "
            "records from a file and writes the new ones into it"
        )
    written: dict[str, Path | None] = {}
    for name, file, kind in (
        ("--eac-results", options.results, OutputKind.RESULTS),
        ("--eac-summary", options.summary, OutputKind.SUMMARY),
        ("--eac-report", options.report, OutputKind.REPORT),
        ("--eac-baseline", replaced, None),
    ):
        written[name] = file
        try:
            if file is not None:
                require_writable(file, None if is_shared(file) else kind)
        except RecordError as error:
            raise pytest.UsageError(f"{name}: {error}") from None
    for name, option in (("--junit-xml", "xmlpath"), ("--log-file", "log_file")):
        text = config.getoption(option, None)
        written[name] = config.invocation_params.dir / text if text else None
    compared = None if replaced else options.baseline
    read_too = {"--eac-from-results": options.from_results, "--eac-baseline": compared}
    require_own_files(read=read_too, written=written)
