"""Prompts: each ability's own template with its fixed examples, or the one that a spec gives."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_eac.abilities.data_items import Row, text
from pytest_eac.data.json_records import json_lines
from pytest_eac.errors import SettingsError
from pytest_eac.lm.chat import chat_prompt
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.spec.registry_entries import Prompt
from pytest_eac.spec.schema.abilities import FIELD, AbilityBounds
from pytest_eac.text.spacing import as_continuation

_EXAMPLES = Path(__file__).with_name("examples")
# Between examples; a completion that goes on to a further example ends here.
BREAK = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How items become prompts.

    Attributes:
        name: the ability and the template's version (``nli@1``), or the text that a spec has in its
            place.
        prompt: the text, with ``{field}`` where a field of the item goes.
        candidates: the answers to choose between, in the order of the labels; may be empty.
        head: the worked examples, each with a blank line behind it; may be empty.
        chat: whether the tokenizer's chat template is put around it.
        calibrate: whether a candidate's likelihood to an empty item is taken off.
    """

    name: str
    prompt: str
    candidates: tuple[str, ...]
    head: str
    chat: bool
    calibrate: bool

    def ask(self, loaded: LoadedModel, row: Row) -> str:
        """Return the prompt for an item; its answer follows.

        Raises:
            DataError: the item lacks a field of the template.
            SettingsError: the model's tokenizer has no chat template.
        """
        return self._dressed(loaded, lambda name: text(row, name))

    def blank(self, loaded: LoadedModel) -> str:
        """Return the prompt for an item whose fields are empty."""
        return self._dressed(loaded, lambda _: "")

    def _dressed(self, loaded: LoadedModel, value: Callable[[str], str]) -> str:
        prompt = self.head + fill(self.prompt, value)
        return chat_prompt(loaded.tokenizer, prompt) if self.chat else prompt


def fill(prompt: str, value: Callable[[str], str]) -> str:
    """Put values in the place of ``{field}``; braces in the values are left alone."""
    return FIELD.sub(lambda match: value(match[1]), prompt)


def find_template(name: str, written: Prompt, bounds: AbilityBounds) -> Template:
    """Return the template of a built-in ability, with what the spec changes.

    Args:
        name: the ability.
        written: its own prompt.
        bounds: how the spec asks for it.

    Raises:
        SettingsError: there are not as many examples as ``shots`` asks for, or they lack a field
            of the spec's own template.
    """
    prompt = bounds.template or written.text
    examples = read_examples(name) if written.shots is not None else []
    shots = (written.shots or 0) if bounds.shots is None else bounds.shots
    if shots > len(examples):
        raise SettingsError(
            f"checks.abilities.{name}.shots: found {shots}, expected at most {len(examples)}, the "
            "number of examples in the template"
        )
    candidates = bounds.candidates or written.candidates
    answers = dict(zip(written.candidates, candidates, strict=True))
    said = f" {' or '.join(bounds.candidates)}" if bounds.candidates else ""
    return Template(
        name=(bounds.template or f"{name}@{written.version}") + said,
        prompt=prompt,
        candidates=candidates,
        head="".join(_example(name, prompt, each, answers) for each in examples[:shots]),
        chat=bounds.chat,
        calibrate=bounds.calibrate,
    )


def read_examples(name: str) -> list[dict[str, str]]:
    """Return the worked examples of a built-in ability."""
    return [json.loads(line) for _, line in json_lines(_EXAMPLES / f"{name}.jsonl")]


def _example(name: str, prompt: str, example: Mapping[str, str], answers: Mapping[str, str]) -> str:
    def value(field: str) -> str:
        if field not in example:
            raise SettingsError(
                f"checks.abilities.{name}.template: the examples have no {{{field}}}, only "
                f"{', '.join(key for key in example if key != 'answer')}; set shots: 0"
            )
        return example[field]

    answer = example["answer"]
    asked = fill(prompt, value)
    return f"{asked}{as_continuation(asked, answers.get(answer, answer))}{BREAK}"
