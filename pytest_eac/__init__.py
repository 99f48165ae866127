"""Test edits to language models: sequential editing, measured and judged by pytest.

The names below load on first use, so that importing the package (which pytest does at every
start, through the plugin) costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_eac.cache.entries import Cache
    from pytest_eac.editing.interface import Solved, Work
    from pytest_eac.editing.layers import edited_modules
    from pytest_eac.editing.locate_then_edit import locate_then_edit
    from pytest_eac.editing.loss import TargetLoss
    from pytest_eac.editing.problem import Problem
    from pytest_eac.editing.prompts import prepare
    from pytest_eac.editing.recipe import Recipe
    from pytest_eac.errors import EacError
    from pytest_eac.judging.checks import judge
    from pytest_eac.lm.layout import as_out_in, find_module
    from pytest_eac.lm.loading.load import LoadedModel, load_model
    from pytest_eac.lm.weights import WeightDelta, restored
    from pytest_eac.measuring.chain import RunOptions, run_chain
    from pytest_eac.records.run import Chain, Record
    from pytest_eac.reporting.causality import deviation_and_abilities
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.load import load_spec
    from pytest_eac.spec.registry_entries import Method, Metric
    from pytest_eac.spec.schema.settings import MethodSettings

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

__all__ = [
    "Cache",
    "Chain",
    "EacError",
    "Edit",
    "LoadedModel",
    "Method",
    "MethodSettings",
    "Metric",
    "Problem",
    "Recipe",
    "Record",
    "RunOptions",
    "Solved",
    "TargetLoss",
    "WeightDelta",
    "Work",
    "__version__",
    "as_out_in",
    "deviation_and_abilities",
    "edited_modules",
    "find_module",
    "judge",
    "load_model",
    "load_spec",
    "locate_then_edit",
    "prepare",
    "restored",
    "run_chain",
]


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
