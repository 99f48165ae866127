"""What a pytest run shares: options, the loaded model, and one record per chain."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from math import inf
from os.path import normpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_eac.cache.entries import Cache
from pytest_eac.cache.kinds import GIB, LIMIT
from pytest_eac.errors import (
    EacError,
    ModelError,
    NamedModelError,
    RecordError,
    SettingsError,
    SpoiledModelError,
    UnavailableError,
)
from pytest_eac.plugin.named_models import NamedModels
from pytest_eac.plugin.progress import Progress
from pytest_eac.plugin.results import ResultsFile
from pytest_eac.records.run import Chain, Comparison, Record, Release, Unfinished, Verdict
from pytest_eac.reporting.causality import causality_lines
from pytest_eac.reporting.terminal import summary_lines, wrapped
from pytest_eac.safe import line
from pytest_eac.spec.orders import show_order
from pytest_eac.spec.schema import checks, methods
from pytest_eac.spec.schema.orderings import Orderings
from pytest_eac.spec.spec import Spec, SpecMethod, comparison_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from pytest_eac.judging.stored_chains import StoredRecord
    from pytest_eac.lm.loading.files import ModelFiles
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.other_orders import OrderRunner
    from pytest_eac.measuring.unedited import AskOptions, Unedited
    from pytest_eac.plugin.baseline import Baseline
    from pytest_eac.plugin.options import Options
    from pytest_eac.reporting.outcomes import Outcome
    from pytest_eac.spec.orders import Order
    from pytest_eac.spec.schema.orderings import Property


_VERDICTS_ALONE = -2  # the verbosity of -qq


class EacSession:
    """Runs each chain once and keeps its record; every check of the chain reads that."""

    def __init__(
        self, config: pytest.Config, options: Options, *, shared: Path | None = None
    ) -> None:
        """Create it; ``shared`` is where workers of pytest-xdist find each other's chains."""
        self.config = config
        self.options = options
        self._shared = shared
        self.specs: list[Spec] = []
        self.troubles: dict[str, str] = {}
        self._outcomes: dict[tuple[Any, ...], Chain | BaseException] = {}
        self._stopped: dict[tuple[Any, ...], Unfinished] = {}
        self._verdicts: dict[tuple[Any, ...], dict[str, Verdict]] = {}
        self._comparisons: dict[tuple[Any, ...], Comparison] = {}
        self._releases: dict[str, Release | EacError] = {}
        self._compared: dict[str, tuple[ModelFiles, ModelFiles]] = {}
        self._model: tuple[methods.ModelChoice, LoadedModel | EacError] | None = None
        self._unedited: tuple[Spec, Unedited] | None = None
        self._named = NamedModels(config, options)
        self._absent: dict[Path, dict[str, UnavailableError]] = {}
        self._orders: tuple[tuple[Any, ...], OrderRunner] | None = None
        self.baseline = _baseline(options)
        self._shown: dict[int | str, tuple[Exception, str]] = {}
        self._told: list[str] = []
        self._interrupted = False
        self._was_stopped = False
        self.workers_died = 0
        self._places: dict[tuple[str, ...], int] = {}
        self._fresh: list[Chain | Unfinished] = []
        self._of_others: set[tuple[Any, ...]] = set()
        results = None if hasattr(config, "workerinput") else options.results
        self._results = ResultsFile(results) if results else None  # workers write none
        self._keeps_results = False
        self._first_read: dict[str, Chain] = {}  # a chain of each spec
        size = int(options.cache_size * GIB) if options.cache_size else LIMIT
        self._cache = None if options.no_cache else Cache(options.cache_dir, limit=size)

    def read_files(self) -> None:
        """Read the records that stand for a run, and those that a run is compared with.

        Raises:
            RecordError: a file is missing or is none of ours.
        """
        _ = self._stored
        if self.baseline:
            self.baseline.read()

    @cached_property
    def _stored(self) -> StoredRecord | None:
        from pytest_eac.judging.stored_chains import StoredRecord
        from pytest_eac.store import read_record

        file = self.options.from_results
        return StoredRecord(file=file, record=read_record(file)) if file else None

    def note_order(self, nodeids: Sequence[str]) -> None:
        """Note where each chain and comparison stands in the order of collection."""
        for place, nodeid in enumerate(nodeids):
            name, *parts = nodeid.split("::")
            file = normpath(self.config.rootpath / name)
            for end in range(1, len(parts) + 1):
                self._places.setdefault((file, *parts[:end]), place)

    def _place(self, spec: str, *parts: str) -> float:
        file = normpath(self.config.invocation_params.dir / spec)
        return self._places.get((file, *parts), inf)

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
        if options.orderings is not None and spec.orderings is not None:
            drawn = spec.orderings.model_copy(update={"examples": options.orderings})
            spec = replace(spec, orderings=drawn if options.orderings else None)
        spec = replace(spec, model=self._choose_model(spec))
        self.specs.append(spec)
        return spec

    def _choose_model(self, spec: Spec) -> methods.ModelChoice | None:
        options = self.options
        given = {
            name: value
            for name in ("revision", "dtype", "device")
            if (value := getattr(options, name)) is not None
        }
        if options.model is not None:
            return methods.ModelChoice.model_validate({"id": options.model, **given})
        return spec.model.model_copy(update=given) if spec.model else None

    def describe(self) -> list[str]:
        """Return a line per model that the collected specs ask for."""
        lines: dict[str, None] = {}
        if self.config.get_verbosity() < 0:
            return []
        if self.options.from_results and self.specs:
            return [line(f"eac: records from {self.options.from_results}, no model is loaded")]
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
        return [line(each) for each in lines]

    def chain(self, spec: Spec, method: SpecMethod, seed: int) -> Chain:
        """Return a chain's record, running the chain if it has not run yet.

        Whatever the first run raised is raised again for every other check of the chain.
        """
        key = (spec.file.as_posix(), method.name, seed)
        take = self._stored.chain if self._stored else self._run_for_all_workers
        return self._once(key, lambda: take(spec, method, seed))

    def _run_for_all_workers(self, spec: Spec, method: SpecMethod, seed: int) -> Chain:
        """Run a chain, unless another worker of pytest-xdist has run it, or is running it now.

        Chains that have ended are in a folder of this run, each behind a lock that a worker holds
        while it runs the chain. It is free again when that worker dies: then another one runs it.
        """
        if not self._has_shared_folder:
            return self._run(spec, method, seed)
        from pytest_eac.records.json_files import from_json, to_json

        key = (spec.file.as_posix(), method.name, seed)
        own: list[Chain] = []

        def run() -> str:
            own.append(self._run(spec, method, seed))
            return to_json(Record(environment={}, chains=tuple(own)))

        text = self._once_for_all_workers(key, run)
        if own:
            return own[0]
        self._of_others.add(key)
        return from_json(text).chains[0]

    @property
    def _has_shared_folder(self) -> bool:
        """Whether there are other workers; one on another host does not reach their folder."""
        return self._shared is not None and self._shared.is_dir()

    def _once_for_all_workers(self, key: object, make: Callable[[], str]) -> str:
        """Return a text that one worker of pytest-xdist makes and all others find."""
        if self._shared is None or not self._has_shared_folder:
            return make()
        from pytest_eac.store import cached_text

        return cached_text(self._shared, sha256(repr(key).encode()).hexdigest(), make)

    def _once(self, key: tuple[Any, ...], run: Callable[[], Chain]) -> Chain:
        if key not in self._outcomes:
            try:
                chain = self._outcomes[key] = run()
            except Exception as error:
                self._outcomes[key] = error
                if isinstance(error, SpoiledModelError):
                    _let_go(error)
                if key in self._stopped:  # an error may be reworded on its way here
                    self._stopped[key] = replace(self._stopped[key], reason=str(error))
                    self._fresh.append(self._stopped[key])
                    self.write()
            else:
                if key not in self._of_others:
                    self._fresh.append(chain)
                self.write()
        outcome = self._outcomes[key]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def first_to_show(self, error: Exception, node: str) -> str:
        """Return the id of the item that shows an error in full: the first that met it.

        What is wrong with a model that an option names is one error, wherever it is met, and
        whichever worker of pytest-xdist meets it.
        """
        is_named = isinstance(error, NamedModelError)
        key = str(error) if is_named else id(error)
        if key not in self._shown:
            first = self._once_for_all_workers(key, lambda: node) if is_named else node
            self._shown[key] = error, first
        return self._shown[key][1]

    def take_fresh(self) -> Record | None:
        """Return the chains that have ended since the last call, if any has.

        A worker of pytest-xdist hands them over at once: one that is killed loses nothing else.
        """
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return None
        return Record(
            environment={},
            chains=tuple(each for each in fresh if isinstance(each, Chain)),
            unfinished=tuple(each for each in fresh if isinstance(each, Unfinished)),
        )

    def judge(self, spec: Spec, method: SpecMethod, seed: int, check: str) -> Verdict:
        """Return the verdict on one check of a chain."""
        chain = self.chain(spec, method, seed)
        return self._judge((spec.file.as_posix(), method.name, seed), chain, spec, check)

    def _judge(self, key: tuple[Any, ...], chain: Chain, spec: Spec, check: str) -> Verdict:
        from pytest_eac.judging.checks import judge
        from pytest_eac.judging.stored_chains import unrecorded

        if error := self._absent.get(spec.file, {}).get(check):
            raise error
        if key not in self._verdicts:  # of all checks together: p-values are corrected for them
            found = judge(chain, spec.checks, spec.stats)
            self._verdicts[key] = {each.check: each for each in found}
        return self._keep(chain, unrecorded(chain, spec, check) or self._verdicts[key][check])

    def release(self, spec: Spec) -> Release:
        """Return what a released model changed of its base; found once a spec."""
        from pytest_eac.plugin import release_items

        key = spec.file.as_posix()
        if key not in self._releases:
            with self._running(f"{spec.name} edited") as progress:
                edits = len(spec.edits)
                try:
                    self._releases[key], self._compared[key] = release_items.inspect(
                        spec, self.options, self._named, lambda text: progress(0, edits, text)
                    )
                except EacError as error:  # raised again for every check, as a chain's is
                    self._releases[key] = error
            self.write()
        found = self._releases[key]
        if isinstance(found, EacError):
            raise found
        return found

    def judge_release(self, spec: Spec) -> Verdict:
        """Return the verdict on what a released model changed of its base."""
        verdict = self.release(spec).verdict
        if verdict is None:
            raise RecordError(f"{spec.file}: the release has not been judged")
        return verdict

    def judge_edited(self, spec: Spec, check: str) -> Verdict:
        """Return the verdict on one check of a released model."""
        key = (spec.file.as_posix(), "edited", 0)
        chain = self._once(key, lambda: self._measure_edited(spec))
        return self._judge(key, chain, spec, check)

    def judge_ordering(
        self, spec: Spec, method: SpecMethod, seed: int, wanted: Property
    ) -> Verdict:
        """Return the verdict on what must hold under every order of a chain's edits."""
        from pytest_eac.judging.orderings import judge_ordering

        chain = self.chain(spec, method, seed)
        if self._stored:
            raise UnavailableError(
                f"{self._stored.file}: the orders of {chain.name} are edited anew, not stored",
                remedy="run the spec without --eac-from-results",
            )

        def replay(orders: Sequence[Order]) -> str:
            item = f"{spec.file}::{chain.name}::{wanted.id}"
            given = [f"--eac-order={show_order(order)}" for order in orders]
            return shlex.join(["pytest", item, *self.options.of_chains, *given])

        with self._running(f"{spec.name} {chain.name}: orders") as progress:
            runner = self._runner(spec, method, chain, progress)
            try:
                verdict = judge_ordering(
                    chain,
                    wanted,
                    orderings=spec.orderings or Orderings(),
                    checks=spec.checks,
                    runner=runner,
                    replay=replay,
                    given=self.options.orders,
                )
            finally:  # orders that ran before one that fails are kept
                chain = replace(chain, orders=runner.runs)
                self._outcomes[chain.spec, chain.method, chain.seed] = chain
        return self._keep(chain, verdict)

    def _keep(self, chain: Chain, verdict: Verdict) -> Verdict:
        others = (each for each in chain.verdicts if each.check != verdict.check)
        key = (chain.spec, chain.method, chain.seed)
        self._outcomes[key] = replace(chain, verdicts=(*others, verdict))
        return verdict

    def _runner(
        self, spec: Spec, method: SpecMethod, chain: Chain, progress: Progress
    ) -> OrderRunner:
        """Return what runs a chain's edits in other orders, keeping only the last chain's."""
        from pytest_eac.measuring.other_orders import OrderRunner

        key = (chain.spec, chain.method, chain.seed)
        if self._orders is None or self._orders[0] != key:
            loaded, unedited = self._unedited_model(spec, method, progress)
            runner = OrderRunner(
                loaded=loaded,
                spec=spec,
                method=method,
                chain=chain,
                unedited=unedited,
                cache=self._cache or self._cache_of_this_run(),
                cache_dir=self.options.cache_dir,
            )
            self._orders = (key, runner)
        self._orders[1].progress = progress
        return self._orders[1]

    def _cache_of_this_run(self) -> Cache:
        """Return a cache that ends with the run: what orders have in common is solved once."""
        folder = TemporaryDirectory(prefix="pytest-eac-")
        self.config.add_cleanup(folder.cleanup)
        return Cache(Path(folder.name))

    def judge_against(
        self, baseline: Baseline, spec: Spec, method: SpecMethod, seed: int, metric: str
    ) -> Verdict:
        """Return the verdict on a metric of a chain against the baseline's.

        Raises:
            MismatchError: the baseline's chain is of other edits, another model, ...
        """
        chain = self.chain(spec, method, seed)
        return self._keep(chain, baseline.judge(chain, metric))

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
        from pytest_eac.measuring.chain import RunOptions, run_chain

        with self._running(f"{spec.name} {method.name}-s{seed}") as progress:
            loaded, unedited = self._unedited_model(spec, method, progress)
            key = (spec.file.as_posix(), method.name, seed)
            return run_chain(
                loaded,
                spec,
                method,
                seed=seed,
                cache=self._cache,
                options=RunOptions(
                    unedited=unedited,
                    cache_dir=self.options.cache_dir,
                    progress=progress,
                    stopped=partial(self._stopped.__setitem__, key),
                ),
            )

    def _unedited_model(
        self, spec: Spec, method: SpecMethod, progress: Progress
    ) -> tuple[LoadedModel, Unedited]:
        """Return the model, and its answers to a spec before any edit.

        It is not asked anything if a method cannot make the spec's edits on it.
        """
        from pytest_eac.measuring.feasibility import require_possible
        from pytest_eac.measuring.unedited import ask_unedited

        progress(0, len(spec.edits), "loading the model")
        loaded = self._load(self._choice(spec), lambda text: progress(0, len(spec.edits), text))
        require_possible(loaded, spec, method)
        if self._unedited is None or self._unedited[0] is not spec:
            asking = "asking the unedited model"
            progress(0, len(spec.edits), asking)
            unedited = ask_unedited(
                loaded,
                spec,
                self._ask_options(spec),
                tell=lambda name: progress(0, len(spec.edits), f"{asking}, {name}"),
            )
            self._unedited = (spec, unedited)
        return loaded, self._unedited[1]

    def _ask_options(self, spec: Spec) -> AskOptions:
        from pytest_eac.measuring.unedited import AskOptions

        absent = self._absent.setdefault(spec.file, {})
        return AskOptions(
            cache=self._cache, offline=self.options.offline, absent=absent.__setitem__
        )

    def _measure_edited(self, spec: Spec) -> Chain:
        from pytest_eac.measuring.release import measure_release
        from pytest_eac.plugin.release_items import base_choice, edited_choice

        base, edited = base_choice(spec), edited_choice(spec, self.options)
        release = self.release(spec)
        original, there = self._compared[spec.file.as_posix()]
        with self._running(f"{spec.name} edited") as progress:
            progress(0, len(spec.edits), "loading the base")

            def tell(text: str) -> None:
                progress(progress.done, len(spec.edits), text)

            def load(choice: methods.ModelChoice, compared: ModelFiles) -> LoadedModel:
                loaded = self._load(choice, tell, released=choice is edited)
                if loaded.files is not None:
                    compared.require_same(loaded.files, "after it was compared")
                return loaded

            def load_edited() -> LoadedModel:
                self._model = None  # the base was dropped, even if it has the same name
                return load(edited, there)

            try:
                chain = measure_release(
                    spec,
                    release,
                    load_base=lambda: load(base, original),
                    load_edited=load_edited,
                    options=self._ask_options(spec),
                    progress=progress,
                )
            finally:
                self._model = self._unedited = None  # the base's memory has been given up
        return chain

    @contextmanager
    def _running(self, name: str) -> Iterator[Progress]:
        """Show how far a chain is, and report memory that is not enough for it.

        A model that has been left changed is dropped with its answers: the next chain loads it
        again.
        """
        progress = Progress(self.config, name)
        try:
            yield progress
        except SpoiledModelError:
            self._model = self._unedited = self._orders = None
            raise
        except KeyboardInterrupt:
            self.tell_interrupted(f" after {progress.done} of {progress.total} edits of {name}")
            raise
        except (MemoryError, _out_of_memory()) as error:
            reason = str(error).partition("\n")[0] or "nothing is left"
            raise ModelError(
                f"{name}: out of memory ({reason}); try --eac-dtype=bfloat16, fewer contexts, or a "
                "larger device"
            ) from error
        finally:
            progress.close()

    def tell_interrupted(self, where: str = "") -> None:
        """Say how to go on, below the tables."""
        if not self._interrupted:
            self._told.append(f"interrupted{where}; {self._way_on()}")
        self._interrupted = True

    def note_stopped(self) -> None:
        """Note that the run ends before its end, by Ctrl-C or ``pytest.exit``."""
        self._was_stopped = True

    def note_worker_died(self) -> None:
        """Note that a worker of pytest-xdist has died: the run may miss what it had to do."""
        self.workers_died += 1

    def _way_on(self, how: str = "") -> str:
        kept = "solved edits are kept" if self._cache else "with --eac-no-cache nothing is kept"
        return f"to go on, run the same command again{how}: {kept}"

    def _choice(self, spec: Spec) -> methods.ModelChoice:
        if spec.model is None:
            raise SettingsError(
                f"{spec.file}: no model to edit; give --eac-model or add model: to the spec"
            )
        return spec.model

    def _load(
        self, choice: methods.ModelChoice, tell: Callable[[str], None], *, released: bool = False
    ) -> LoadedModel:
        """Return the model, keeping only the last one so that two are never held.

        The code of a ``released`` one is never run: ``--eac-trust-remote-code`` is for bases.
        """
        from pytest_eac.lm.loading.load import load_model

        if self._model is None or self._model[0] != choice:
            self._model = self._unedited = self._orders = None
            try:
                with self._named.naming(choice):
                    loaded = load_model(
                        choice.id,
                        revision=choice.revision,
                        dtype=choice.dtype,
                        device=choice.device,
                        cache_dir=self.options.cache_dir,
                        offline=self.options.offline,
                        trust_remote_code=self.options.trust_remote_code and not released,
                        tell=tell,
                    )
                self._model = (choice, loaded)
            except EacError as error:
                self._model = (choice, error)
        if isinstance(self._model[1], EacError):
            raise self._model[1]
        return self._model[1]

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chains that ran to their end, in the order of collection."""
        ended = (each for each in self._outcomes.values() if isinstance(each, Chain))
        return tuple(sorted(ended, key=lambda each: self._place(each.spec, each.name)))

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The chains that an error stopped, unless another worker has completed them."""
        stopped = (
            each
            for key, each in self._stopped.items()
            if not isinstance(self._outcomes.get(key), Chain)
        )
        return tuple(
            sorted(stopped, key=lambda each: self._place(each.chain.spec, each.chain.name))
        )

    def print_summary(self, reporter: pytest.TerminalReporter) -> None:
        """Print the table of chains x metrics, and where the results went."""
        became = "failed (--eac-require)" if self.options.require else "skipped"
        skipped = {
            f"{spec}: {became}: {error}": None
            for (spec, *_), error in self._outcomes.items()
            if isinstance(error, UnavailableError)
        }
        shown = self.config.get_verbosity() > _VERDICTS_ALONE
        stopped = [f"{each.chain.spec}: {each.brief}" for each in self.unfinished]
        if shown and (self.chains or skipped or stopped):
            reporter.write_sep("=", "edits")
            printed = (
                *summary_lines(self.chains),
                *causality_lines(self.chains),
                *skipped,
                *(part for text in (*stopped, *self._diagnoses()) for part in wrapped(text)),
            )
            for each in printed:
                reporter.write_line(line(each))
        if shown and self.baseline:
            for each in self.baseline.lines(self.record()):
                reporter.write_line(line(each))
        if self._results and "results" not in self.troubles and not self._is_collecting:
            told = f"results written to {self.options.results}"
            if self._keeps_results:
                told = f"results {self.options.results} left as they were: nothing was measured"
            reporter.write_line(line(told))
        for each in self.troubles.values():
            reporter.write_line(line(each), red=True)
        if self.workers_died:
            workers = f"{self.workers_died} worker{'s' * (self.workers_died > 1)} of pytest-xdist"
            way = self._way_on(", with fewer workers (-n) if memory is short")
            reporter.write_line(f"{workers} died (killed, or out of memory); {way}", red=True)
        for each in self._told:
            reporter.write_line(line(each))

    def _diagnoses(self) -> list[str]:
        """Return what each chain's failures point to; known here, since all its checks have run."""
        from pytest_eac.judging.diagnosis import diagnose

        return [f"{chain.name}: {found}" for chain in self.chains for found in diagnose(chain)]

    def record(self) -> Record:
        """Return what has been measured and judged so far."""
        return Record(
            environment=self._environment(),
            chains=self.chains,
            comparisons=tuple(
                sorted(
                    self._comparisons.values(),
                    key=lambda each: self._place(each.spec, "compare", each.check),
                )
            ),
            releases=tuple(
                sorted(
                    (each for each in self._releases.values() if isinstance(each, Release)),
                    key=lambda each: self._place(each.spec, "edited"),
                )
            ),
            unfinished=self.unfinished,
        )

    def _environment(self) -> dict[str, str]:
        if self._stored:
            return self._stored.record.environment
        from pytest_eac.measuring.environment import describe_environment

        return describe_environment()

    def absorb(self, record: Record) -> None:
        """Take over what a worker has measured; a chain that two workers ran counts once."""
        for chain in record.chains:
            self._note_edits(chain)
            key = (chain.spec, chain.method, chain.seed)
            known = self._outcomes.get(key)
            verdicts, orders = {each.check: each for each in chain.verdicts}, chain.orders
            if isinstance(known, Chain):
                verdicts = {each.check: each for each in known.verdicts} | verdicts
                orders = orders or known.orders  # of the worker that tried them
            self._outcomes[key] = replace(chain, verdicts=tuple(verdicts.values()), orders=orders)
        for stopped in record.unfinished:
            chain = stopped.chain
            self._stopped[chain.spec, chain.method, chain.seed] = stopped
        for comparison in record.comparisons:
            self._comparisons[comparison.spec, comparison.check] = comparison
        for release in record.releases:
            self._releases[release.spec] = release

    def _note_edits(self, chain: Chain) -> None:
        """Note a trouble if a worker has read other edits than another one from the same spec."""
        from pytest_eac.judging.matching import describe, edit_mismatches

        first = self._first_read.setdefault(chain.spec, chain)
        if found := tuple(edit_mismatches(first.edits, chain.edits)):
            self.troubles["edits"] = (
                f"{chain.spec}: {first.name} and {chain.name} were made with other edits, since a "
                f"file was changed while the workers of pytest-xdist read it ({describe(found)}); "
                "run again"
            )

    def write(self, *, last: bool = False) -> None:
        """Write the results file, if one was asked for; it may leave that to the next call.

        A disk that is full costs the file, not the verdicts: it is reported at the end. A run that
        has measured nothing leaves the file of an earlier one as it is.
        """
        results = self._results
        if results is None:
            return
        self._keeps_results = results.is_there and not self._has_measured
        if not self._keeps_results:
            self._attempt("results", lambda: results.write(self.record, last=last))

    @property
    def _has_measured(self) -> bool:
        released = any(isinstance(each, Release) for each in self._releases.values())
        return bool(self.chains or self.unfinished or released)

    @property
    def _is_collecting(self) -> bool:
        return bool(self.config.getoption("collectonly", False))

    def _attempt(self, output: str, write: Callable[[], str | None]) -> None:
        """Write an output; one that cannot be written keeps no other from it."""
        try:
            told = write()
        except RecordError as error:
            self.troubles[output] = str(error)
            return
        self.troubles.pop(output, None)
        if told:
            self._told.append(told)

    def finish(self, outcomes: Sequence[Outcome], *, complete: bool) -> None:
        """Write what is written once, at the end of the run.

        Args:
            outcomes: what became of each check.
            complete: whether nothing has stopped the run; a baseline is made of no other.
        """
        if self._is_collecting:
            return
        complete = complete and not self._was_stopped and "edits" not in self.troubles
        from pytest_eac.plugin.outcomes import write_report, write_summary
        from pytest_eac.reporting.outcomes import stopped

        self.write(last=True)
        if not complete:
            outcomes = (stopped(), *outcomes)
        options, record, baseline = self.options, self.record, self.baseline
        arguments = [str(each) for each in self.config.invocation_params.args]
        if baseline and baseline.update:
            self._attempt("baseline", lambda: baseline.store(record(), complete=complete))
        if file := options.summary:
            self._attempt("summary", lambda: write_summary(file, record(), outcomes, baseline))
        if page := options.report:
            self._attempt("report", lambda: write_report(page, record(), outcomes, arguments))


def _baseline(options: Options) -> Baseline | None:
    if options.baseline is None:
        return None
    from pytest_eac.plugin.baseline import Baseline

    return Baseline(
        options.baseline,
        options.compare_fail,
        update=options.update_baseline,
        across=options.compare_across,
    )


def _let_go(error: BaseException) -> None:
    """Drop what an error's frames hold, such as the model, which will be loaded again."""
    errors: list[BaseException | None] = [error]
    seen = set()
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            errors += [each.__context__, each.__cause__]


def _out_of_memory() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError
