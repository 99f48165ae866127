"""Several variants of a spec's methods, one chain after another on the same loaded model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_eac.cache.entries import Cache
from pytest_eac.errors import EacError, SettingsError, SpoiledModelError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.measuring.chain import Progress, RunOptions, run_chain
from pytest_eac.measuring.feasibility import require_possible
from pytest_eac.measuring.unedited import AskOptions, ask_unedited
from pytest_eac.records.run import Chain, Unfinished
from pytest_eac.spec.spec import Spec, SpecMethod


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """The model and the edits that variants are tried on.

    Attributes:
        loaded: the unedited model; it is unedited again after each chain.
        cache: where solved edits and measurements are kept, so that a sweep that was interrupted
            goes on where it was.
        cache_dir: where statistics of the unedited model are kept.
        report: called with (edits done, edits in all, what is being done).
    """

    loaded: LoadedModel
    cache: Cache
    cache_dir: Path | None
    report: Progress

    def require_possible(self, spec: Spec, methods: Sequence[SpecMethod]) -> None:
        """Raise before the first edit if a method cannot make a spec's edits.

        Raises:
            SettingsError: a hyperparameter does not fit the model; names the method.
            EditError: an edit cannot be made or scored.
        """
        for method in methods:
            try:
                require_possible(self.loaded, spec, method)
            except SettingsError as error:
                raise SettingsError(f"{method.name}: {error}") from None

    def chains(self, spec: Spec, methods: Sequence[SpecMethod]) -> Iterator[Chain | Unfinished]:
        """Run each method with each of the spec's seeds, measured after the last edit.

        Args:
            spec: the edits, scoring and seeds.
            methods: the variants.

        Yields:
            The chain's record, or what was recorded of one that an error stopped.

        Raises:
            SpoiledModelError: a method has left the model changed.
            EacError: the unedited model cannot be asked.
        """
        spec = replace(spec, checkpoints=(len(spec.edits),))
        unedited = ask_unedited(
            self.loaded,
            spec,
            AskOptions(cache=self.cache),
            report=lambda name: self.report(0, 1, f"asking the unedited model, {name}"),
        )
        for method in methods:
            for seed in spec.seeds:
                stopped: list[Unfinished] = []
                options = RunOptions(
                    unedited=unedited,
                    cache_dir=self.cache_dir,
                    progress=self._named(method.name),
                    stopped=stopped.append,
                )
                try:
                    chain = run_chain(
                        self.loaded, spec, method, seed=seed, cache=self.cache, options=options
                    )
                except SpoiledModelError:
                    raise
                except EacError:
                    if not stopped:
                        raise
                yield stopped[0] if stopped else chain

    def _named(self, name: str) -> Progress:
        return lambda done, total, doing: self.report(done, total, f"{name}: {doing}")
