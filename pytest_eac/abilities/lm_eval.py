"""Abilities that lm-evaluation-harness asks: any of its tasks, on the model as it is now."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from pytest_eac.abilities.asking import Asked, Replies
from pytest_eac.abilities.data_items import Row, digest
from pytest_eac.abilities.lm_eval_items import (
    chance_and_majority,
    choose_items,
    find_metric,
    has_own_code,
    set_shots,
)
from pytest_eac.abilities.lm_eval_tasks import calm, load_tasks, reset_example_draws
from pytest_eac.abilities.tasks import Prepared
from pytest_eac.errors import DataError, EacError, ModelError, NonFiniteError, SettingsError
from pytest_eac.lm.chat import rendered
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.spec.schema.abilities import LM_EVAL, AbilityBounds

# What lm-eval's filters leave of an answer in which they find nothing.
_NOTHING = frozenset({"", "[invalid]"})
# Rows in a batch are planned for prompts of this length; lm-eval keeps all their logits.
_USUAL_TOKENS, _MOST_ROWS = 512, 32


@dataclass(frozen=True, kw_only=True)
class Harness(Asked):
    """A task, or a group of tasks, of lm-evaluation-harness; the scores are one of its metrics.

    Attributes:
        tasks: lm-eval's task objects by name.
        metric: the metric that scores an item, a number between 0 and 1.
        filter: the name of what lm-eval puts between an answer and the metric.
        chosen: the numbers of the items to ask, by task; ``None`` for all.
        chat: whether the tokenizer's chat template is put around the prompts.
        rows: how many prompts are read at once.
        items: all that the scores depend on; empty where code of the task's own does too.
        chance: the score of guessing, for a multiple choice.
        majority: the score of choosing the same place always, likewise.
    """

    tasks: Mapping[str, Any]
    metric: str
    filter: str
    chosen: Mapping[str, list[int]] | None
    chat: bool
    rows: int
    items: Sequence[Any] = ()
    chance: float | None = None
    majority: float | None = None

    def ask(self, loaded: LoadedModel) -> Replies:
        """Let lm-eval put the items to the model.

        Raises:
            NonFiniteError: a logit is not finite.
            SettingsError: lm-eval cannot put them to this model, or an item's score is no number
                between 0 and 1.
        """
        with calm(), _finite(loaded.model):
            from lm_eval.evaluator import evaluate

            reset_example_draws(self.tasks)
            try:
                found = evaluate(
                    lm=_wrapped(loaded, self.rows),
                    task_dict={"tasks": dict(self.tasks)},
                    samples=self.chosen,
                    bootstrap_iters=0,
                    apply_chat_template=self.chat,
                    fewshot_as_multiturn=self.chat,
                )["samples"]
            except (EacError, MemoryError, RuntimeError):
                raise
            except Exception as error:  # whatever a task's code may raise
                raise SettingsError(f"lm-eval: {type(error).__name__}: {error}") from error
        samples = [
            sample
            for name in self.tasks
            for sample in sorted(found[name], key=lambda sample: int(sample["doc_id"]))
            if sample["filter"] == self.filter
        ]
        return Replies(
            scores=tuple(self._score(sample) for sample in samples),
            unparsable=sum(_is_empty(sample) for sample in samples),
        )

    def _score(self, sample: Mapping[str, Any]) -> float:
        found = sample.get(self.metric)
        try:
            score = float(found)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            score = -1.0
        if not 0 <= score <= 1:
            raise SettingsError(
                f"metric {self.metric!r}: found {str(found)[:60]!r} for item {sample['doc_id']}, "
                "expected a number between 0 and 1; name another with metric"
            )
        return score


def prepare_task(
    loaded: LoadedModel, name: str, bounds: AbilityBounds, *, offline: bool = False
) -> Prepared:
    """Load a task of lm-evaluation-harness and its items.

    Args:
        loaded: the model that will be asked.
        name: ``lm_eval:TASK``.
        bounds: how the task is asked for.
        offline: fetch nothing.

    Raises:
        UnavailableError: lm-eval is not installed, or the data is not on this machine.
        SettingsError: there is no such task, or an option does not fit it.
        DataError: lm-eval cannot load the task, or it has fewer items than ``take`` asks for.
    """
    where = f"checks.abilities.{name}"
    tasks = load_tasks(name.removeprefix(LM_EVAL), bounds.include, offline=offline)
    if bounds.chat and not loaded.tokenizer.chat_template:
        raise SettingsError(f"{where}.chat: the model's tokenizer has no chat template; drop it")
    import lm_eval

    metric, chosen_filter = find_metric(tasks, bounds.metric, where)
    for task in tasks.values():
        set_shots(task, bounds.shots, where)
    chosen = choose_items(tasks, bounds, where)
    rows = _rows(loaded)
    with calm():
        try:
            _build_requests(_wrapped(loaded, rows), tasks, chosen, chat=bounds.chat)
        except Exception as error:  # whatever a task's code may raise
            raise DataError(f"{where}: {type(error).__name__}: {error}") from error
        chance, majority = chance_and_majority(tasks.values(), metric)
    version = f"lm-eval {lm_eval.__version__}"
    docs = [each.doc for task in tasks.values() for each in task.instances]
    asked = Harness(
        tasks=tasks,
        metric=metric,
        filter=chosen_filter,
        chosen=chosen,
        chat=bounds.chat,
        rows=rows,
        items=()
        if has_own_code(tasks.values())
        else (version, metric, chosen_filter, *_items(tasks)),
        chance=chance,
        majority=majority,
    )
    return Prepared(
        asked=asked,
        template=f"{name}: {metric},{chosen_filter} ({version})",
        data=bounds.include or name,
        sha256=digest(Row(fields=doc, origin="") for doc in docs),
    )


def _build_requests(
    model: Any, tasks: Mapping[str, Any], chosen: Mapping[str, list[int]] | None, *, chat: bool
) -> None:
    """Let each task make its prompts, as lm-eval does before it puts them."""
    reset_example_draws(tasks)
    for name, task in tasks.items():
        task.build_all_requests(
            samples=None if chosen is None else chosen[name],
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
            chat_template=model.apply_chat_template if chat else None,
        )


def _items(tasks: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the tasks' settings and, of each request, what is asked and of which item."""
    for task in tasks.values():
        yield str(task.dump_config())
        for each in task.instances:
            yield [each.request_type, str(each.args), str(each.doc)]


def _wrapped(loaded: LoadedModel, rows: int) -> Any:
    """Return the live model as lm-eval takes it; the tokenizer is a copy, which it may change."""
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=loaded.model, tokenizer=deepcopy(loaded.tokenizer), batch_size=rows)

    def apply(history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        try:
            return rendered(model.tokenizer, history, answer=add_generation_prompt)
        except ModelError:  # as lm-eval does: some templates know no such role
            rest = [message for message in history if message["role"] != "system"]
            if len(rest) == len(history):
                raise
            return rendered(model.tokenizer, rest, answer=add_generation_prompt)

    model.apply_chat_template = apply
    return model


def _rows(loaded: LoadedModel) -> int:
    """Return how many prompts of the usual length can be read at once: logits, and logs of them."""
    row_bytes = 2 * 4 * _USUAL_TOKENS * int(loaded.shape["vocab_size"])
    return max(1, min(_MOST_ROWS, loaded.spare_bytes // row_bytes))


def _is_empty(sample: Mapping[str, Any]) -> bool:
    return all(
        isinstance(each, str) and each.strip() in _NOTHING for each in sample["filtered_resps"]
    )


@contextmanager
def _finite(model: torch.nn.Module) -> Iterator[None]:
    """Raise where the model's logits are not finite, which lm-eval would take for a low score."""

    def check(_: torch.nn.Module, __: Any, output: Any) -> None:
        if not bool(torch.isfinite(torch.stack(output.logits.aminmax())).all()):
            raise NonFiniteError("the model's logits are not finite while lm-eval asks it")

    with model.register_forward_hook(check):
        yield
