"""The model that is loaded, and what it answers before any edit: kept until another is needed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pytest_eac.cache.entries import Cache
from pytest_eac.cache.kinds import GIB, LIMIT
from pytest_eac.errors import (
    DeviceUnavailableError,
    EacError,
    ModelError,
    NamedModelError,
    NonFiniteError,
    SettingsError,
    SpoiledModelError,
    UnavailableError,
)
from pytest_eac.plugin.progress import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.other_orders import OrderRunner
    from pytest_eac.measuring.unedited import AskOptions, Unedited
    from pytest_eac.plugin.chains import PlannedChain
    from pytest_eac.plugin.options import Options
    from pytest_eac.plugin.stopping import EarlyEnd
    from pytest_eac.records.run import Chain, Unfinished
    from pytest_eac.spec.schema.methods import ModelChoice
    from pytest_eac.spec.spec import Spec


@dataclass(kw_only=True, eq=False)
class _AskedModel:
    """The loaded model's answers to one spec, and the orders of its chain that was last asked."""

    spec: Spec
    loaded: LoadedModel
    unedited: Unedited
    orders: OrderRunner | None = None


class Models:
    """Loads models and runs chains on them; never holds two models at once."""

    def __init__(self, config: pytest.Config, options: Options, early_end: EarlyEnd) -> None:
        size = int(options.cache_size * GIB) if options.cache_size else LIMIT
        self.cache = None if options.no_cache else Cache(options.cache_dir, limit=size)
        self._config = config
        self._options = options
        self._early_end = early_end
        self._loaded: tuple[ModelChoice, LoadedModel | EacError] | None = None
        self._unedited: _AskedModel | None = None
        self._absent: dict[Path, dict[str, UnavailableError]] = {}

    def absent(self, spec: Spec) -> dict[str, UnavailableError]:
        """Return the errors of the spec's abilities whose data are not on this machine."""
        return self._absent.setdefault(spec.file, {})

    def ask_options(self, spec: Spec) -> AskOptions:
        """Return how the models of a spec are asked."""
        from pytest_eac.measuring.unedited import AskOptions

        absent = self.absent(spec)
        return AskOptions(
            cache=self.cache, offline=self._options.offline, absent=absent.__setitem__
        )

    def drop(self) -> None:
        """Forget the loaded model and its answers."""
        self._loaded = self._unedited = None

    def load(
        self, choice: ModelChoice, report: Callable[[str], None], *, released: bool = False
    ) -> LoadedModel:
        """Return the model, keeping only the last one.

        The code of a ``released`` one is never run: ``--eac-trust-remote-code`` is for bases.
        """
        from pytest_eac.lm.loading.load import load_model

        if self._loaded is None or self._loaded[0] != choice:
            self.drop()
            try:
                with self.naming(choice):
                    loaded = load_model(
                        choice.id,
                        revision=choice.revision,
                        dtype=choice.dtype,
                        device=choice.device,
                        cache_dir=self._options.cache_dir,
                        offline=self._options.offline,
                        trust_remote_code=self._options.trust_remote_code and not released,
                        report=report,
                    )
                self._loaded = (choice, loaded)
            except EacError as error:
                self._loaded = (choice, error)
        found = self._loaded[1]
        if isinstance(found, EacError):
            raise found
        return found

    @contextmanager
    def naming(self, choice: ModelChoice) -> Iterator[None]:
        """Name the option in an error about the model that it names.

        The user asked for this model: skipping its checks would be a green run that tested nothing.

        Raises:
            NamedModelError: the model cannot be used.
        """
        try:
            yield
        except DeviceUnavailableError:
            raise
        except (UnavailableError, ModelError, NonFiniteError) as error:
            option = self._option(choice)
            if option is None or isinstance(error, NamedModelError):
                raise
            raise NamedModelError(option, str(error)) from error

    def _option(self, choice: ModelChoice) -> str | None:
        """Return the option that names a model, or its key in the ini file; ``None`` for a spec."""
        options = self._options
        if options.edited == choice.id and options.edited_revision == choice.revision:
            name = "edited"
        elif options.model == choice.id:
            name = "model"
        else:
            return None
        if self._config.getoption(f"--eac-{name}"):
            return f"--eac-{name}"
        ini = self._config.inipath
        return f"eac_{name} in {ini.name}" if ini else f"eac_{name}"

    def run(self, planned: PlannedChain, stopped: Callable[[Unfinished], None]) -> Chain:
        """Run a chain; ``stopped`` gets what it has recorded if an error stops it."""
        from pytest_eac.measuring.chain import RunOptions, run_chain

        with self.running(planned.spec, planned.name) as progress:
            asked = self._ask_unedited(planned, progress)
            return run_chain(
                asked.loaded,
                planned.spec,
                planned.method,
                seed=planned.seed,
                cache=self.cache,
                options=RunOptions(
                    unedited=asked.unedited,
                    cache_dir=self._options.cache_dir,
                    progress=progress,
                    stopped=stopped,
                ),
            )

    def orders(self, planned: PlannedChain, chain: Chain, progress: ProgressLine) -> OrderRunner:
        """Return what runs a chain's edits in other orders, keeping only the last chain's."""
        from pytest_eac.measuring.other_orders import OrderRunner

        asked = self._ask_unedited(planned, progress)
        runner = asked.orders
        if runner is None or runner.chain.key != chain.key:
            runner = asked.orders = OrderRunner(
                loaded=asked.loaded,
                spec=planned.spec,
                method=planned.method,
                chain=chain,
                unedited=asked.unedited,
                cache=self.cache or self._cache_of_this_run(),
                cache_dir=self._options.cache_dir,
            )
        runner.progress = progress
        return runner

    def _cache_of_this_run(self) -> Cache:
        """Return a cache that ends with the run: what orders have in common is solved once."""
        folder = TemporaryDirectory(prefix="pytest-eac-")
        self._config.add_cleanup(folder.cleanup)
        return Cache(Path(folder.name))

    def _ask_unedited(self, planned: PlannedChain, progress: ProgressLine) -> _AskedModel:
        """Return the model, and its answers to a spec before any edit.

        It is not asked anything if a method cannot make the spec's edits on it.
        """
        from pytest_eac.measuring.feasibility import require_possible
        from pytest_eac.measuring.unedited import ask_unedited

        spec = planned.spec
        if spec.model is None:
            raise SettingsError(
                f"{spec.file}: no model to edit; give --eac-model or add model: to the spec"
            )

        progress.report("loading the model")
        loaded = self.load(spec.model, progress.report)
        require_possible(loaded, spec, planned.method)
        if self._unedited is None or self._unedited.spec is not spec:
            asking = "asking the unedited model"
            progress.report(asking)
            unedited = ask_unedited(
                loaded,
                spec,
                self.ask_options(spec),
                report=lambda name: progress.report(f"{asking}, {name}"),
            )
            self._unedited = _AskedModel(spec=spec, loaded=loaded, unedited=unedited)
        return self._unedited

    @contextmanager
    def running(self, spec: Spec, chain: str) -> Iterator[ProgressLine]:
        """Show how far a chain is, and report memory that is not enough for it.

        A model that has been left changed is dropped with its answers: the next chain loads it
        again.
        """
        name = f"{spec.name} {chain}"
        progress = ProgressLine(self._config, name, len(spec.edits))
        try:
            yield progress
        except SpoiledModelError:
            self.drop()
            raise
        except KeyboardInterrupt:
            where = f" after {progress.done} of {progress.total} edits of {name}"
            self._early_end.note_interrupted(where)
            raise
        except (MemoryError, _out_of_memory()) as error:
            reason = str(error).partition("\n")[0] or "nothing is left"
            raise ModelError(
                f"{name}: out of memory ({reason}); try --eac-dtype=bfloat16, fewer contexts, or a "
                "larger device"
            ) from error
        finally:
            progress.close()


def _out_of_memory() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError
