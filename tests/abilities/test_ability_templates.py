from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import transformers

from pytest_eac.abilities.data_items import Row
from pytest_eac.abilities.templates import BREAK, Template, find_template, read_examples
from pytest_eac.errors import DataError, SettingsError
from pytest_eac.lm.tokens import encode
from pytest_eac.spec.schema.abilities import BUILT_IN, AbilityBounds
from tests.abilities.ability_files import read

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel

MODEL = cast("LoadedModel", object())
CHAT = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[model]"


def row(**fields: Any) -> Row:
    return Row(fields=fields, origin="items.jsonl:7")


def find(name: str, **options: Any) -> Template:
    prompt = BUILT_IN[name].prompt
    assert prompt is not None
    return find_template(name, prompt, AbilityBounds(keep=1, **options))


def prompt(name: str, item: Row, **options: Any) -> str:
    return find(name, **options).ask(MODEL, item)


def test_an_item_stands_in_its_template() -> None:
    item = row(sentence1="It rains.", sentence2="It is wet.")
    assert prompt("nli", item) == "It rains.\nQuestion: It is wet. True or False?\nAnswer:"


def test_braces_in_the_data_are_left_alone() -> None:
    item = row(sentence="{sentence} {0} {} {{x}} {other")
    assert prompt("sentiment", item, template="A: {sentence}") == f"A: {item.fields['sentence']}"


def test_braces_around_anything_else_than_a_name_are_text() -> None:
    assert prompt("sentiment", row(sentence="x"), template="{} {1} { sentence } {sentence}") == (
        "{} {1} { sentence } x"
    )


def test_a_field_that_an_item_lacks_is_told_with_its_place() -> None:
    with pytest.raises(DataError, match=r"items\.jsonl:7: .*sentence"):
        prompt("sentiment", row(text="x"))


def test_examples_stand_before_the_item_each_with_a_blank_line_behind_it() -> None:
    item = row(sentence="It shines.")
    bare = prompt("sentiment", item, shots=0)
    shown = prompt("sentiment", item, shots=2)
    first, second, last = shown.split(BREAK)
    assert last == bare
    assert first.endswith("Sentiment: positive")
    assert second.endswith("Sentiment: negative")
    assert prompt("sentiment", item, shots=1) == f"{first}{BREAK}{bare}"


def test_an_example_in_a_script_without_spaces_has_none_before_its_answer() -> None:
    options: dict[str, Any] = {"shots": 1, "candidates": ("差", "好")}
    shown = prompt(
        "sentiment", row(sentence="x"), template="{sentence}\u8bc4\u4ef7\u662f", **options
    )
    assert shown.split(BREAK)[0].endswith("评价是好")


def test_examples_follow_a_template_of_the_spec() -> None:
    shown = prompt("sentiment", row(sentence="x"), template="Say: {sentence} ->", shots=1)
    assert shown.startswith("Say: A warm and clever play")
    assert shown.endswith(f"-> positive{BREAK}Say: x ->")


def test_more_examples_than_there_are_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"nli\.shots: found 9, expected at most 4"):
        prompt("nli", row(), shots=9)


def test_answers_of_the_spec_take_the_place_of_the_templates_also_in_examples() -> None:
    written = "{sentence1} So {sentence2}?"
    found = find("nli", template=written, candidates=("yes", "no"), shots=2)
    assert found.candidates == ("yes", "no")
    assert found.name == "{sentence1} So {sentence2}? yes or no"
    first, second = found.head.split(BREAK)[:2]
    assert (first.split()[-1], second.split()[-1]) == ("yes", "no")


def test_examples_that_lack_a_field_of_the_specs_template_are_an_error() -> None:
    with pytest.raises(SettingsError, match=r"the examples have no {premise}, only sentence1, "):
        prompt("nli", row(premise="x"), template="{premise}", shots=1)


WITH_EXAMPLES = [name for name, task in BUILT_IN.items() if "shots" in task.uses]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_are_no_items_of_the_data(name: str) -> None:
    items = [str(item) for item in read(BUILT_IN[name].data)]
    examples = read_examples(name)
    assert examples
    for example in examples:
        for field, value in example.items():
            assert field == "answer" or not any(value in item for item in items)


def test_a_template_of_the_spec_is_its_own_name_in_the_record() -> None:
    assert find("nli").name == "nli@1"
    assert find("nli", template="{x}?").name == "{x}?"


def test_a_chat_template_goes_around_the_prompt_with_one_start_token(
    tiny_llama: LoadedModel,
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_llama.id)
    tokenizer.chat_template = CHAT
    loaded = cast("LoadedModel", SimpleNamespace(tokenizer=tokenizer))
    template = find("generation", chat=True)
    asked = template.ask(loaded, row(prompt="Go on {now}."))
    assert asked.endswith("[user] Go on {now}.\n[model]")
    assert encode(tokenizer, asked).count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_without_a_chat_template_is_an_error(tiny: LoadedModel) -> None:
    template = find("generation", chat=True)
    with pytest.raises(SettingsError, match="tokenizer has no chat template"):
        template.ask(tiny, row(prompt="x"))
