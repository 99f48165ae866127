"""Tasks of lm-evaluation-harness: found by name, loaded with their data."""

import importlib.util
import io
import logging
import random
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_eac.data.hub_datasets import data_sets_offline
from pytest_eac.errors import DataError, SettingsError, UnavailableError
from pytest_eac.lm.library_calls import quiet
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.spec.nearest_name import closest, nearest

# lm-eval's own defaults, so that its command line draws the same examples.
_SEED, _OTHER_SEED = 0, 1234


def load_tasks(name: str, include: str | None, *, offline: bool) -> dict[str, Any]:
    """Load a task, or the tasks of a group or tag, with their data.

    Args:
        name: as lm-eval knows it.
        include: the task's YAML file, or a folder of such files; ``None`` for lm-eval's own tasks.
        offline: fetch nothing.

    Returns:
        lm-eval's task objects by name.

    Raises:
        UnavailableError: lm-eval is not installed, or the data is not on this machine.
        SettingsError: there is no such task.
        DataError: it is there, but lm-eval cannot load it.
    """
    where = f"checks.abilities.lm_eval:{name}"
    missing = [each for each in ("lm_eval", "accelerate") if not importlib.util.find_spec(each)]
    if missing:
        raise UnavailableError(
            f"{where} needs lm-evaluation-harness, and {' and '.join(missing)} is not installed",
            remedy="pip install 'pytest-eac[lm-eval]'",
        )
    with calm(), data_sets_offline(offline):
        manager, asked = _find(name, include, where)
        try:
            tasks: dict[str, Any] = manager.load([asked])["tasks"]
        except ConnectionError as error:
            raise UnavailableError(
                f"{where}: the task's data is not on this machine and could not be fetched "
                f"({_first_line(error)})",
                remedy="with a network, run: "
                f"lm_eval run --model dummy --tasks {shlex.quote(name)} --limit 1",
            ) from error
        except Exception as error:  # whatever a task's YAML, code or data may raise
            raise DataError(f"{where}: lm-eval cannot load it: {_first_line(error)}") from error
    if asked != name and name not in tasks:
        raise SettingsError(
            f"{where}.include: found {', '.join(tasks)} in {include}, expected the task {name!r}"
            f"{nearest(name, tasks)}"
        )
    return tasks


def _find(name: str, include: str | None, where: str) -> tuple[Any, str]:
    """Return a task manager that knows a task, and what to ask it for."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    if include is None:
        manager = _own_tasks()
        if name not in manager.all_tasks:
            near = nearest(name, manager.all_tasks)
            raise SettingsError(
                f"{where}: lm-eval {lm_eval.__version__} has no task {name!r}"
                f"{near or '; its own are listed by: lm_eval ls tasks'}; for a task file of your "
                "own, add include"
            )
        return manager, name
    if Path(include).is_file():
        return TaskManager(include_defaults=False), include
    manager = TaskManager(include_path=include, include_defaults=False)
    if name not in manager.all_tasks:
        raise SettingsError(
            f"{where}.include: found no task {name!r} in the .yaml files of {include}"
            f"{closest(name, manager.all_tasks)}"
        )
    # A group may name tasks of lm-eval's own, the list of which takes seconds to read.
    return (manager if name in manager.all_subtasks else TaskManager(include_path=include)), name


@cache
def _own_tasks() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


@contextmanager
def calm() -> Iterator[None]:
    """Keep lm-eval's bars, advice and warnings out of the terminal, and its seeds to itself.

    The random generators are seeded as by lm-eval's command line, and are afterwards as before.
    """
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.CRITICAL)
    with (
        quiet(),
        warnings.catch_warnings(action="ignore"),
        preserved_random_state(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        try:
            random.seed(_SEED)
            np.random.seed(_OTHER_SEED)  # noqa: NPY002
            torch.manual_seed(_OTHER_SEED)
            yield
        finally:
            log.setLevel(level)


def reset_example_draws(tasks: Mapping[str, Any]) -> None:
    """Reset each task's seed, so that it draws the same worked examples again."""
    for task in tasks.values():
        task.set_fewshot_seed(seed=_OTHER_SEED)
