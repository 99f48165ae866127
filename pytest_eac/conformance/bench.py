"""The model that methods are tried on, which is kept as it was loaded."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from pytest_eac.conformance.example_edits import ANOTHER, CONFLICT, CONTEXTS, EDITS
from pytest_eac.lm.loading.load import LoadedModel, load_model
from pytest_eac.lm.state.process import drawn, preserved_random_state, random_state
from pytest_eac.lm.state.snapshot import Snapshot
from pytest_eac.lm.tiny import tiny_model
from pytest_eac.plugin.options import Options
from pytest_eac.spec.hyperparameters import find_model_preset
from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.registry_entries import Method


class Bench:
    """The unedited model; a test that does not leave it so costs the next one a new model."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.cache_dir = options.cache_dir if options.model else folder
        self.is_trained = options.model is not None
        self._options = options
        self._make: Callable[[], LoadedModel] = self._load if options.model else _make_tiny
        self.loaded = self._make()
        self._clean = self._snapshot()

    def tidy(self) -> None:
        """Make a new model if this one is no longer as it was."""
        if self._clean.differences():
            self._clean.put_back()
            self.loaded = self._make()
            self._clean = self._snapshot()

    def _snapshot(self) -> Snapshot:
        modules = self.loaded.model.named_modules()
        weighty = [path for path, module in modules if hasattr(module, "weight")]
        return Snapshot(self.loaded, weighty, whole=True)

    def _load(self) -> LoadedModel:
        options = self._options
        return load_model(
            options.model or "",
            revision=options.revision,
            dtype=options.dtype or "auto",
            device=options.device or "auto",
            cache_dir=options.cache_dir,
            offline=options.offline,
            trust_remote_code=options.trust_remote_code,
        )

    def choice(self, name: str, method: Method) -> dict[str, object]:
        """Return what a spec would say of a method for this model."""
        chosen: dict[str, object] = {"base": name}
        if method.takes_value or name not in BUILT_IN:
            chosen["contexts"] = {"texts": CONTEXTS}
        if self._options.model:
            if find_model_preset(self.loaded.shape) is None:
                chosen["layers"] = (max(1, int(self.loaded.shape["num_hidden_layers"]) // 3),)
            return chosen
        chosen["layers"] = (1, 2) if method.many_layers else (1,)
        if method.takes_value:
            chosen["value"] = {"clamp": 16.0}
        if method.covariance:
            chosen["covariance"] = {"tokens": 2000}
        small = {"weight": 1.0, "threshold": 0.2}
        known = method.update.model_fields
        if update := {key: value for key, value in small.items() if key in known}:
            chosen["update"] = update
        return chosen


def _make_tiny() -> LoadedModel:
    edits = (*EDITS, ANOTHER, *CONFLICT)  # RENAMED is of the same words
    return tiny_model([f"{edit.prompt} {edit.target}" for edit in edits])


@contextmanager
def seeded(seed: int) -> Iterator[Callable[[], list[str]]]:
    """Seed all global random generators for a block.

    Yields:
        A function that returns the packages whose generators have been used since.
    """
    with preserved_random_state():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = random_state()
        yield lambda: drawn(before)
