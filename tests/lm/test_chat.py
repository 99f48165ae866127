from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import ModelError, SettingsError
from pytest_eac.lm import chat
from pytest_eac.lm.chat import chat_prompt

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel

PLAIN = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content | trim }}{% endfor %}"
    "{{ eos_token }}{% if add_generation_prompt %}<assistant>{% endif %}"
)
SWITCHED = """
{%- set ten = messages | length * 10 -%}
{%- set text = messages[0].content -%}
{%- if text == 'loop' -%}
{%- for a in range(99999) -%}{%- for b in range(99999) -%}{%- endfor -%}{%- endfor -%}
{%- elif text == 'power' -%}{{ ten ** (ten ** ten) }}
{%- elif text == 'memory' -%}{{ ('x' * 10 ** 10) | length }}
{%- elif text == 'length' -%}{{ 'x' * 2 ** 21 }}
{%- elif text == 'error' -%}{{ raise_exception('no such role') }}
{%- elif text == 'undefined' -%}{{ nothing.of.that }}
{%- else -%}fine{%- endif -%}
"""


@pytest.fixture
def tokenizer(tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tiny_llama.tokenizer, "chat_template", SWITCHED)
    return tiny_llama.tokenizer


def test_a_prompt_is_what_the_tokenizer_itself_makes_of_it(tokenizer: Any) -> None:
    tokenizer.chat_template = PLAIN
    for text in ("  Hello,\n{{ world }} ", "\u201c\xe0\u201d \U0001f600"):
        messages = [{"role": "user", "content": text}]
        own = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert chat_prompt(tokenizer, text) == own.removeprefix(tokenizer.bos_token or "")


def test_a_template_is_stopped_where_it_leaves_its_bounds(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chat_prompt(tokenizer, "x") == "fine"
    limited = Path("/proc/self/statm").exists()  # elsewhere memory has no bound
    for text, said in (
        *([("memory", "out of memory")] if limited else []),
        ("length", "its text is longer than 1,048,576 characters"),
        ("error", "TemplateError: no such role"),
        ("undefined", "UndefinedError: 'nothing' is undefined"),
    ):
        with pytest.raises(ModelError, match=f"chat template: {said}"):
            chat_prompt(tokenizer, text)
    assert chat_prompt(tokenizer, "x") == "fine"
    monkeypatch.setattr(chat, "SECONDS", 0.5)
    with pytest.raises(ModelError, match=r"chat template: not done after 0\.5 seconds"):
        chat_prompt(tokenizer, "loop")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["loop", "power"])
def test_a_template_can_be_asked_again_after_it_was_stopped(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    chat_prompt(tokenizer, "x")
    with monkeypatch.context() as patch:
        patch.setattr(chat, "SECONDS", 0.5)
        with pytest.raises(ModelError, match="not done after"):
            chat_prompt(tokenizer, text)
    assert chat_prompt(tokenizer, "x") == "fine"


@pytest.mark.slow
def test_a_template_that_is_no_jinja_is_an_error(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for %}"
    with pytest.raises(ModelError, match="chat template: TemplateSyntaxError: "):
        chat_prompt(tokenizer, "x")


def test_a_tokenizer_without_a_template_is_an_error(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(SettingsError, match="has no chat template; drop it"):
        chat_prompt(tokenizer, "x")
