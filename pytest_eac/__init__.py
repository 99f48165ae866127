"""Test edits to language models: sequential editing, measured and judged by pytest.

The names below load on first use, so that importing the package (which pytest does at every
start, through the plugin) costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_eac.cache.entries import Cache as Cache
    from pytest_eac.editing.interface import Solved as Solved
    from pytest_eac.editing.interface import Work as Work
    from pytest_eac.editing.layers import edited_modules as edited_modules
    from pytest_eac.editing.locate_then_edit import locate_then_edit as locate_then_edit
    from pytest_eac.editing.loss import TargetLoss as TargetLoss
    from pytest_eac.editing.problem import Problem as Problem
    from pytest_eac.editing.prompts import prepare as prepare
    from pytest_eac.editing.recipe import Recipe as Recipe
    from pytest_eac.errors import EacError as EacError
    from pytest_eac.judging.checks import judge as judge
    from pytest_eac.lm.layout import as_out_in as as_out_in
    from pytest_eac.lm.layout import find_module as find_module
    from pytest_eac.lm.loading.load import LoadedModel as LoadedModel
    from pytest_eac.lm.loading.load import load_model as load_model
    from pytest_eac.lm.weights import WeightDelta as WeightDelta
    from pytest_eac.lm.weights import restored as restored
    from pytest_eac.measuring.chain import RunOptions as RunOptions
    from pytest_eac.measuring.chain import run_chain as run_chain
    from pytest_eac.records.run import Chain as Chain
    from pytest_eac.records.run import Record as Record
    from pytest_eac.reporting.causality import deviation_and_abilities as deviation_and_abilities
    from pytest_eac.spec.edits import Edit as Edit
    from pytest_eac.spec.load import load_spec as load_spec
    from pytest_eac.spec.registry_entries import Method as Method
    from pytest_eac.spec.registry_entries import Metric as Metric
    from pytest_eac.spec.schema.settings import MethodSettings as MethodSettings

__version__ = "0.1.0"

_HOMES = {
    "Cache": "pytest_eac.cache.entries",
    "Chain": "pytest_eac.records.run",
    "Edit": "pytest_eac.spec.edits",
    "LoadedModel": "pytest_eac.lm.loading.load",
    "Method": "pytest_eac.spec.registry_entries",
    "MethodSettings": "pytest_eac.spec.schema.settings",
    "Metric": "pytest_eac.spec.registry_entries",
    "RunOptions": "pytest_eac.measuring.chain",
    "Solved": "pytest_eac.editing.interface",
    "TargetLoss": "pytest_eac.editing.loss",
    "WeightDelta": "pytest_eac.lm.weights",
    "Work": "pytest_eac.editing.interface",
    "EacError": "pytest_eac.errors",
    "Problem": "pytest_eac.editing.problem",
    "Recipe": "pytest_eac.editing.recipe",
    "Record": "pytest_eac.records.run",
    "as_out_in": "pytest_eac.lm.layout",
    "deviation_and_abilities": "pytest_eac.reporting.causality",
    "edited_modules": "pytest_eac.editing.layers",
    "find_module": "pytest_eac.lm.layout",
    "judge": "pytest_eac.judging.checks",
    "load_model": "pytest_eac.lm.loading.load",
    "locate_then_edit": "pytest_eac.editing.locate_then_edit",
    "load_spec": "pytest_eac.spec.load",
    "prepare": "pytest_eac.editing.prompts",
    "restored": "pytest_eac.lm.weights",
    "run_chain": "pytest_eac.measuring.chain",
}

__all__ = ["__version__"]
__all__ += list(_HOMES)


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
