"""The abilities that a spec may ask for, and the limits that it may set for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.registry import ABILITIES, built_in, names
from pytest_eac.spec.registry_entries import READ
from pytest_eac.spec.types import (
    At,
    Count,
    Level,
    Positive,
    Seed,
    Share,
    Strict,
    refusal,
    require_limit,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_eac.spec.registry_entries import Task

BUILT_IN: Mapping[str, Task] = built_in(ABILITIES)
# Tasks of lm-evaluation-harness by their own names: lm_eval:TASK.
LM_EVAL = "lm_eval:"
_LM_EVAL_USES = frozenset({"include", "metric", "take", "seed", "shots", "chat"})

_LIMITS = frozenset({"keep", "min", "above_chance", "loses_at_most", "at", "confidence"})
_OF_SHARES = frozenset({"min", "above_chance", "loses_at_most", "confidence"})

# A field of an item in a template.
FIELD = re.compile(r"\{([A-Za-z_][\w.]*)\}")
Source = Annotated[str, Field(min_length=1, max_length=20_000)]


def _differ(candidates: tuple[str, str]) -> tuple[str, str]:
    if candidates[0] == candidates[1]:
        raise refusal("expected two different answers")
    return candidates


def _asks(template: str) -> str:
    if not FIELD.search(template):
        text = "expected a field of the items in braces, such as {sentence}"
        raise PydanticCustomError("no_field", text)
    return template


class AbilityBounds(Strict):
    """Limits for an ability at one or more checkpoints, and how it is asked for."""

    keep: Positive | None = Field(
        None, description="Least allowed score, as a share of the unedited model's."
    )
    min: Share | None = Field(None, description="Least allowed score.")
    above_chance: Positive | None = Field(
        None,
        description="Least allowed margin above chance, as a share of the unedited model's margin.",
    )
    loses_at_most: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Largest allowed loss: how far the score may fall below the unedited model's.",
    )
    max_perplexity: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = Field(
        None,
        description="For generation: highest allowed perplexity of the texts by the unedited "
        "model, as a multiple of that of its own texts; 10 by default.",
    )
    confidence: Level | None = Field(
        None,
        description="Pass only if other items of the same kind would make it too, at this level.",
    )
    at: At = "final"
    data: Source | None = Field(
        None,
        description="A .tsv, .csv, .json, .jsonl or .parquet file, relative to this spec, or "
        "`hub:ID[/CONFIG][@SPLIT]`; by default the package's own items.",
    )
    revision: Source | None = Field(
        None, description="Commit of a hub data set, which must have one."
    )
    take: Count | None = Field(None, description="How many items to use; all by default.")
    seed: Seed | None = Field(
        None, description="Draw the items at random with this seed; in file order by default."
    )
    template: Annotated[Source, AfterValidator(_asks)] | None = Field(
        None, description="The prompt, with {field} where a field of the item goes."
    )
    candidates: Annotated[tuple[Source, Source], AfterValidator(_differ)] | None = Field(
        None,
        description="The two answers to choose between, as they are to be written: for nli, that "
        "of entailment and that of none; for sentiment, negative and positive.",
    )
    shots: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="How many worked examples stand before each item."
    )
    chat: bool = Field(False, description="Put the prompt into the tokenizer's chat template.")
    calibrate: bool = Field(
        False,
        description="Take off how likely the unedited model finds each answer to an empty item.",
    )
    include: Source | None = Field(
        None,
        description="For lm_eval:TASK, the task's own YAML file, or a folder of them, relative to "
        "this spec.",
    )
    metric: Source | None = Field(
        None,
        description="For lm_eval:TASK, the METRIC or METRIC,FILTER that scores an item; by default "
        "the task's first.",
    )

    @property
    def asked(self) -> dict[str, Any]:
        """How the ability is asked for, without its limits; what is left to the defaults is not."""
        options = set(READ | _LM_EVAL_USES | {"template", "candidates"})
        return self.model_dump(mode="json", include=options, exclude_defaults=True)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_limit(self, "keep", "min", "above_chance", "loses_at_most")
        if self.seed is not None and self.take is None:
            raise refusal("seed draws the items that 'take' asks for; add take or drop seed")
        hub = (self.data or "").startswith("hub:")
        if self.revision is not None and not hub:
            raise refusal("revision is of a data set from the hub; add data: hub:ID or drop it")
        if self.revision is None and hub:
            raise refusal("a data set of the hub can change; add revision, a commit of it")
        return self


def _from_number(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"keep": value} if is_number else value


def known_ability(name: str, *, more: tuple[str, ...] = ()) -> str:
    """Return the name of an ability; ``more`` are other names that could have been meant."""
    known = (*BUILT_IN, *names(ABILITIES), f"{LM_EVAL}TASK")
    if not name.removeprefix(LM_EVAL).strip() or (
        name not in known and not name.startswith(LM_EVAL)
    ):
        kind = "metric" if more else "ability"
        raise refusal(f"unknown {kind} {name!r}{closest(name, (*more, *known))}")
    return name


def _options_have_a_use(
    bounds: dict[str, AbilityBounds],
) -> dict[str, AbilityBounds]:
    for name, each in bounds.items():
        own = BUILT_IN[name].uses if name in BUILT_IN else frozenset()
        useful = _LIMITS | (_LM_EVAL_USES if name.startswith(LM_EVAL) else own)
        unused = sorted(each.model_fields_set - useful)
        if unused:
            raise refusal(f"{name} has no use for {', '.join(unused)}")
        if name == "perplexity" and each.model_fields_set & _OF_SHARES:
            raise refusal("perplexity is no share and is better the lower it is; take keep")
    return bounds


AbilityChecks = Annotated[
    dict[
        Annotated[str, AfterValidator(known_ability)],
        Annotated[
            AbilityBounds,
            BeforeValidator(_from_number, json_schema_input_type=Positive | AbilityBounds),
        ],
    ],
    AfterValidator(_options_have_a_use),
]
