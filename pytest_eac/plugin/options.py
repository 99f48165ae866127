"""Command-line options and ini values; an ini name is the option's with underscores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.plugin.project_settings import require_own_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pytest_eac.spec.orders import Order

_TEXT = {
    "model": (
        "ID",
        "model to edit: hub id, folder, .gguf file, or package:NAME (overrides the spec)",
    ),
    "revision": ("REV", "branch, tag or commit of a hub model"),
    "dtype": ("DTYPE", "auto, float32, bfloat16 or float16 (overrides the spec)"),
    "device": ("DEVICE", "auto, cpu, cuda, cuda:1, ... (overrides the spec)"),
    "edited": ("PATH_OR_ID", "gate a model that is edited already; --eac-model is its base"),
    "edited-revision": ("REV", "branch, tag or commit of an edited hub model"),
    "limit-edits": ("N", "use only the first N edits of each spec"),
    "orderings": ("N", "draw N orders of the edits where a spec has orderings; 0 draws none"),
    "results": ("FILE", "write the records of all chains to FILE (JSON)"),
    "from-results": ("FILE", "judge the records in FILE with today's specs; no model is loaded"),
    "summary": ("FILE", "write verdicts and tables to FILE as Markdown (docs/ci.md)"),
    "report": ("FILE", "write all of it to FILE as one page of HTML (docs/report.md)"),
    "baseline": ("FILE", "compare with the records in FILE, made by --eac-update-baseline"),
    "cache-dir": ("DIR", "where models, covariances, edits and measurements are kept"),
    "cache-size": ("GIB", "keep at most GIB GiB of edits and measurements (default: 4)"),
}
_LISTS = {
    "method": ("NAME", "run only this method (repeatable; overrides the spec)"),
    "seed": ("N", "use only this seed (repeatable; overrides the spec)"),
    "order": ("ORDER", "try this order of the edits, such as 3,1, instead of drawing orders"),
    "compare-fail": (
        "METRIC:TOLERANCE",
        "fail if METRIC has become worse than in the baseline by more than TOLERANCE, such as "
        "locality:2%% (repeatable)",
    ),
    "compare-across": (
        "WHAT",
        "compare with a baseline that was made with other hyperparameters, or another batch "
        "(repeatable, or separated by commas)",
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

_EMPTY = "found an empty value; is a variable of the shell not set? Leave out what is not given"


def add_options(parser: pytest.Parser) -> None:
    """Declare every option, and every ini value of the same name."""
    group = parser.getgroup("eac", "editing language models (pytest-eac)")
    for name, (metavar, text) in _TEXT.items():
        group.addoption(f"--eac-{name}", metavar=metavar, default=None, help=text)
        parser.addini(_ini(name), text, default=None)
    for name, (metavar, text) in _LISTS.items():
        group.addoption(f"--eac-{name}", metavar=metavar, action="append", default=[], help=text)
        parser.addini(_ini(name), text, type="args", default=[])
    for name, text in _FLAGS.items():
        group.addoption(f"--eac-{name}", action="store_true", default=False, help=text)
        parser.addini(_ini(name), text, type="bool", default=False)


def _ini(name: str) -> str:
    return f"eac_{name.replace('-', '_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options in force: the command line over the ini file.

    ``cache_size`` is in GiB; ``None`` stands for the usual.
    """

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
    """Collect the options.

    Raises:
        pytest.UsageError: a value is not of its option's kind.
    """

    def value(name: str) -> Any:
        given = config.getoption(f"--eac-{name}")
        return given if given not in (None, [], False) else config.getini(_ini(name)) or None

    _require_values(config)
    require_own_settings(config, {f"--eac-{name}" for name in (*_TEXT, *_LISTS)})
    limit = value("limit-edits")
    orderings = value("orderings")
    cache_dir = value("cache-dir")
    baseline = _baseline(config, value)
    if value("from-results") and value("edited"):
        raise pytest.UsageError(
            "--eac-from-results: stored records are of edits; a released model (--eac-edited) has "
            "to be measured"
        )
    cache_size = value("cache-size")
    if value("edited") and (value("method") or value("seed")):
        raise pytest.UsageError(
            "--eac-edited: nothing is edited then, so that --eac-method and --eac-seed have no use"
        )
    if value("edited") and config.getoption("--eac-compare-fail"):
        raise pytest.UsageError(
            "--eac-edited: a released model has no baseline checks, so that --eac-compare-fail has "
            "no use; give limits in the spec"
        )
    texts = ("model", "revision", "device", "edited", "edited-revision")
    plain: dict[str, Any] = {name: value(name) for name in texts}
    plain |= {name: bool(value(name)) for name in _FLAGS}
    options = Options(
        **{name.replace("-", "_"): each for name, each in plain.items()},
        dtype=_one_of("dtype", value("dtype"), ("auto", "float32", "bfloat16", "float16")),
        limit_edits=_number("limit-edits", limit, least=1) if limit is not None else None,
        orderings=_number("orderings", orderings, least=0) if orderings is not None else None,
        orders=tuple(dict.fromkeys(_order(order) for order in value("order") or ())),
        results=_writable(config, "results", value("results")),
        from_results=_path(config, value("from-results")),
        summary=_writable(config, "summary", value("summary")),
        report=_writable(config, "report", value("report")),
        baseline=baseline,
        compare_fail=tuple(_tolerance(each) for each in value("compare-fail") or ()),
        compare_across=_across(value("compare-across") or ()),
        cache_dir=_path(config, cache_dir),
        cache_size=_size("cache-size", cache_size) if cache_size is not None else None,
        methods=tuple(dict.fromkeys(value("method") or ())),
        seeds=tuple(dict.fromkeys(_number("seed", seed, least=0) for seed in value("seed") or ())),
    )
    if not hasattr(config, "workerinput"):  # workers write none of these
        _require_own_files(config, options)
    return options


def _require_values(config: pytest.Config) -> None:
    """Refuse an option without a value: a run that did without it would test something else."""
    for name in (*_TEXT, *_LISTS):
        given = config.getoption(f"--eac-{name}")
        texts = given if isinstance(given, list) else [] if given is None else [given]
        if not all(text.strip() for text in texts):
            raise pytest.UsageError(f"--eac-{name}: {_EMPTY}")


def _path(config: pytest.Config, text: str | None) -> Path | None:
    return config.invocation_params.dir / text if text else None


def _require_own_files(config: pytest.Config, options: Options) -> None:
    outputs = {
        "--eac-results": options.results,
        "--eac-summary": options.summary,
        "--eac-report": options.report,
        "--eac-baseline": options.baseline if options.update_baseline else None,
    }
    if not any(outputs.values()):
        return
    from pytest_eac.plugin.output_conflicts import require_own_files

    compared = options.baseline if not options.update_baseline else None
    require_own_files(
        read={"--eac-from-results": options.from_results, "--eac-baseline": compared},
        written={
            **outputs,
            "--junit-xml": _path(config, config.getoption("xmlpath", None)),
            "--log-file": _path(config, config.getoption("log_file", None)),
        },
    )


def _writable(config: pytest.Config, name: str, text: str | None) -> Path | None:
    """Find out before any work is done whether a file can be written; workers write none."""
    file = _path(config, text)
    if file is None or hasattr(config, "workerinput"):
        return file
    from pytest_eac.atomic_write import OutputKind
    from pytest_eac.errors import RecordError
    from pytest_eac.plugin.output_conflicts import is_shared
    from pytest_eac.store import require_writable

    kinds = {
        "results": OutputKind.RESULTS,
        "summary": OutputKind.SUMMARY,
        "report": OutputKind.REPORT,
    }
    try:
        require_writable(file, kinds.get(name) if not is_shared(file) else None)
    except RecordError as error:
        raise pytest.UsageError(f"--eac-{name}: {error}") from None
    return file


def _baseline(config: pytest.Config, value: Callable[[str], Any]) -> Path | None:
    for name in ("compare-fail", "compare-across", "update-baseline"):
        if value(name) and not value("baseline"):
            raise pytest.UsageError(f"--eac-{name}: there is no baseline; give --eac-baseline=FILE")
    file = _path(config, value("baseline"))
    if file is None or not value("update-baseline"):
        return file
    if file.exists() and not file.is_file():
        raise pytest.UsageError(
            f"--eac-baseline: {file}: is no file; --eac-update-baseline reads the old records from "
            "a file and writes the new ones into it"
        )
    return _writable(config, "baseline", value("baseline"))


def _across(given: Iterable[str]) -> tuple[str, ...]:
    names = dict.fromkeys(name.strip() for text in given for name in text.split(","))
    if not names:
        return ()
    from pytest_eac.judging.comparable import ACROSS

    for name in names:
        if name not in ACROSS:
            raise pytest.UsageError(
                f"--eac-compare-across: found {name!r}, expected {' or '.join(ACROSS)}"
            )
    return tuple(names)


def _tolerance(text: str) -> tuple[str, float]:
    """Read ``locality:2%`` or ``locality:0.02``; an ability may have a colon in its name."""
    metric, _, amount = text.rpartition(":")
    try:
        tolerance = float(amount.removesuffix("%")) / (100 if amount.endswith("%") else 1)
    except ValueError:
        tolerance = math.nan
    if not metric or not 0 <= tolerance < math.inf:
        raise pytest.UsageError(
            f"--eac-compare-fail: found {text!r}, expected a metric and what is tolerated, such as "
            "locality:2% or locality:0.02"
        )
    return metric, tolerance


def _one_of(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
    if value is not None and value not in known:
        raise pytest.UsageError(f"--eac-{name}: found {value!r}, expected {', '.join(known)}")
    return value


def _order(text: str) -> Order:
    from pytest_eac.spec.orders import read_order

    try:
        return read_order(text)
    except ValueError as error:
        raise pytest.UsageError(f"--eac-order: {error}") from None


def _number(name: str, text: str, *, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number < 2**32:
        raise pytest.UsageError(
            f"--eac-{name}: found {text!r}, expected a whole number from {least}"
        )
    return number


def _size(name: str, text: str) -> float:
    """Read a number of GiB."""
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        raise pytest.UsageError(
            f"--eac-{name}: found {text!r}, expected a number of GiB above 0, such as 4 or 0.5"
        )
    return size
