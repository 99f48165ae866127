"""What a pytest run shares: options, the loaded model, and one record per chain."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from pytest_eac.cache.entries import Cache
from pytest_eac.cache.kinds import GIB, LIMIT
from pytest_eac.errors import (
    EacError,
    ModelError,
    RecordError,
    SettingsError,
    SpoiledModelError,
    UnavailableError,
)
from pytest_eac.record import Chain, Comparison, Record, Verdict
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.terminal import summary_lines
from pytest_eac.spec import checks, choices
from pytest_eac.spec.load import Spec, SpecMethod, comparison_id

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.measuring.abilities.measure import Abilities
    from pytest_eac.measuring.recall import Recall
    from pytest_eac.plugin.options import Options


class EacSession:
    """Runs each chain once and keeps its record; every check of the chain reads that."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.specs: list[Spec] = []
        self.trouble: str | None = None
        self._outcomes: dict[tuple[Any, ...], Chain | BaseException] = {}
        self._verdicts: dict[tuple[Any, ...], dict[str, Verdict]] = {}
        self._comparisons: dict[tuple[Any, ...], Comparison] = {}
        self._model: tuple[choices.ModelChoice, LoadedModel | EacError] | None = None
        self._unedited: tuple[Spec, Recall, Abilities] | None = None
        size = int(options.cache_size * GIB) if options.cache_size else LIMIT
        self._cache = None if options.no_cache else Cache(options.cache_dir, limit=size)

    def adapt(self, spec: Spec) -> Spec:
        """Lay the command line over a spec.

        Raises:
            SettingsError: an option names a method that does not exist.
        """
        options = self.options
        if options.methods:
            try:
                spec = spec.with_methods(options.methods)
            except ValueError as error:
                raise SettingsError(f"--eac-method: {error}") from None
        if options.seeds:
            spec = replace(spec, seeds=options.seeds)
        if options.limit_edits is not None:
            spec = spec.limited(options.limit_edits)
        spec = replace(spec, model=self._choose_model(spec))
        self.specs.append(spec)
        return spec

    def _choose_model(self, spec: Spec) -> choices.ModelChoice | None:
        options = self.options
        given = {
            name: value
            for name in ("revision", "dtype", "device")
            if (value := getattr(options, name)) is not None
        }
        if options.model is not None:
            return choices.ModelChoice.model_validate({"id": options.model, **given})
        return spec.model.model_copy(update=given) if spec.model else None

    def describe(self) -> list[str]:
        """Return a line per model that the collected specs ask for."""
        lines: dict[str, None] = {}
        if self.config.get_verbosity() < 0:
            return []
        for spec in self.specs:
            if spec.model is None:
                lines["eac: no model: give --eac-model or a model in the spec"] = None
                continue
            model = spec.model
            revision = f" revision {model.revision}" if model.revision else ""
            lines[
                f"eac: model {model.id}{revision}, dtype {model.dtype}, device {model.device}"
            ] = None
        if self.options.limit_edits is not None and lines:
            lines[f"eac: only the first {self.options.limit_edits} edits (--eac-limit-edits)"] = (
                None
            )
        return list(lines)

    def chain(self, spec: Spec, method: SpecMethod, seed: int) -> Chain:
        """Return a chain's record, running the chain if it has not run yet.

        Whatever the first run raised is raised again for every other check of the chain.
        """
        key = (spec.file.as_posix(), method.name, seed)
        if key not in self._outcomes:
            try:
                self._outcomes[key] = self._run(spec, method, seed)
            except Exception as error:
                self._outcomes[key] = error
            else:
                self.write()
        outcome = self._outcomes[key]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def judge(self, spec: Spec, method: SpecMethod, seed: int, check: str) -> Verdict:
        """Return the verdict on one check of a chain."""
        from pytest_eac.judging.checks import judge

        chain = self.chain(spec, method, seed)
        key = (spec.file.as_posix(), method.name, seed)
        if key not in self._verdicts:  # of all checks together: p-values are corrected for them
            found = judge(chain, spec.checks, spec.stats)
            self._verdicts[key] = {each.check: each for each in found}
        verdict = self._verdicts[key][check]
        others = (each for each in chain.verdicts if each.check != check)
        self._outcomes[key] = replace(chain, verdicts=(*others, verdict))
        return verdict

    def compare(self, spec: Spec, comparison: checks.Comparison) -> Verdict:
        """Return the verdict on a comparison between two methods of a spec."""
        from pytest_eac.judging.compare import compare

        by_name = {method.name: method for method in spec.methods}
        sides = [
            [self.chain(spec, by_name[name], seed) for seed in spec.seeds]
            for name in (comparison.subject, comparison.than)
        ]
        level = spec.stats.confidence
        verdict = compare(comparison_id(comparison), comparison, *sides, level=level)
        self._comparisons[verdict.spec, verdict.check] = verdict
        return verdict

    def _run(self, spec: Spec, method: SpecMethod, seed: int) -> Chain:
        from pytest_eac.measuring.abilities.measure import Abilities
        from pytest_eac.measuring.chain import run_chain
        from pytest_eac.measuring.recall import Recall

        name = f"{spec.name} {method.name}-s{seed}"
        progress = _Progress(self.config, name)
        try:
            progress(0, len(spec.edits), "loading the model")
            loaded = self._load(spec)
            if self._unedited is None or self._unedited[0] is not spec:
                progress(0, len(spec.edits), "asking the unedited model")
                level = spec.stats.confidence
                recall = Recall(
                    loaded, spec.edits, spec.scoring.match, cache=self._cache, confidence=level
                )
                abilities = Abilities(
                    loaded,
                    spec.checks.abilities,
                    cache=self._cache,
                    offline=self.options.offline,
                    confidence=level,
                )
                self._unedited = (spec, recall, abilities)
            _, recall, abilities = self._unedited
            return run_chain(
                loaded,
                spec,
                method,
                seed=seed,
                recall=recall,
                abilities=abilities,
                progress=progress,
                cache_dir=self.options.cache_dir,
                cache=self._cache,
            )
        except SpoiledModelError:
            self._model = self._unedited = None
            raise
        except (MemoryError, _out_of_memory()) as error:
            reason = str(error).partition("\n")[0] or "nothing is left"
            raise ModelError(
                f"{name}: out of memory ({reason}); try --eac-dtype bfloat16, fewer contexts, or a "
                "larger device"
            ) from error
        finally:
            progress.close()

    def _load(self, spec: Spec) -> LoadedModel:
        """Return the model, keeping only the last one so that two are never held."""
        from pytest_eac.lm.load import load_model

        choice = spec.model
        if choice is None:
            raise SettingsError(
                f"{spec.file}: no model to edit; give --eac-model or add model: to the spec"
            )
        if self._model is None or self._model[0] != choice:
            self._model = self._unedited = None
            try:
                loaded = load_model(
                    choice.id,
                    revision=choice.revision,
                    dtype=choice.dtype,
                    device=choice.device,
                    cache_dir=self.options.cache_dir,
                    offline=self.options.offline,
                    trust_remote_code=self.options.trust_remote_code,
                )
                self._model = (choice, loaded)
            except EacError as error:
                self._model = (choice, error)
        if isinstance(self._model[1], EacError):
            raise self._model[1]
        return self._model[1]

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chains that ran to their end."""
        return tuple(each for each in self._outcomes.values() if isinstance(each, Chain))

    def print_summary(self, reporter: pytest.TerminalReporter) -> None:
        """Print the table of chains x metrics, and where the results went."""
        skipped = {
            f"{spec}: skipped: {error}": None
            for (spec, *_), error in self._outcomes.items()
            if isinstance(error, UnavailableError)
        }
        if self.chains or skipped:
            reporter.write_sep("=", "edits")
            lines = (
                *summary_lines(self.chains),
                *causality_lines(self.chains),
                *skipped,
                *self._diagnoses(),
            )
            for line in lines:
                reporter.write_line(line)
        if self.trouble:
            reporter.write_line(self.trouble, red=True)
        elif self.options.results:
            reporter.write_line(f"results written to {self.options.results}")

    def _diagnoses(self) -> list[str]:
        """Return what each chain's failures point to; known here, since all its checks have run."""
        from pytest_eac.judging.diagnosis import diagnose

        return [f"{chain.name}: {line}" for chain in self.chains for line in diagnose(chain)]

    def record(self) -> Record:
        """Return what has been measured and judged so far."""
        from pytest_eac.measuring.chain import describe_environment

        return Record(
            environment=describe_environment(),
            chains=self.chains,
            comparisons=tuple(self._comparisons.values()),
        )

    def absorb(self, record: Record) -> None:
        """Take over what a worker has measured; a chain that two workers ran counts once."""
        for chain in record.chains:
            key = (chain.spec, chain.method, chain.seed)
            known = self._outcomes.get(key)
            verdicts = {each.check: each for each in chain.verdicts}
            if isinstance(known, Chain):
                verdicts = {each.check: each for each in known.verdicts} | verdicts
            self._outcomes[key] = replace(chain, verdicts=tuple(verdicts.values()))
        for comparison in record.comparisons:
            self._comparisons[comparison.spec, comparison.check] = comparison

    def write(self) -> None:
        """Write the results file, if one was asked for; workers leave that to the controller.

        A disk that is full costs the file, not the verdicts: it is told at the end.
        """
        if self.options.results is None or hasattr(self.config, "workerinput"):
            return
        from pytest_eac.store import write_record

        try:
            write_record(self.options.results, self.record())
        except RecordError as error:
            self.trouble = str(error)


def _out_of_memory() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError


class _Progress:
    """One line that is rewritten on a terminal, and nothing elsewhere."""

    def __init__(self, config: pytest.Config, name: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        shown = reporter is not None and reporter.isatty and config.get_verbosity() >= 0
        self._reporter: pytest.TerminalReporter | None = reporter if shown else None
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._name = name
        self._write(lambda reporter: reporter.ensure_newline())

    def __call__(self, done: int, total: int, doing: str) -> None:
        width = get_terminal_size().columns - 1
        text = f"{self._name}: {done}/{total} edits, {doing}"[:width]
        self._write(lambda reporter: reporter.rewrite(text, erase=True))

    def close(self) -> None:
        """Wipe the line."""
        self._write(lambda reporter: reporter.rewrite("\r", erase=True))

    def _write(self, write: Callable[[pytest.TerminalReporter], None]) -> None:
        """Write past the capturing that is on while a test is set up."""
        if self._reporter is None:
            return
        open_ = self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
        with open_:
            write(self._reporter)
            self._reporter.flush()
