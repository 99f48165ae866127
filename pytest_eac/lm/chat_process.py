"""The child process that runs a chat template; see :mod:`pytest_eac.lm.chat`."""

import json
import sys
from typing import Any

from pytest_eac.child_processes import answer, limit_memory


def serve(memory: int, characters: int) -> None:
    """Answer lines of JSON: a template with its special tokens, then the messages of each prompt.

    Args:
        memory: how many bytes more than now may be taken.
        characters: how long an answer may be.
    """
    import transformers.utils.chat_template_utils  # noqa: F401 - not within the bound on memory

    setting = json.loads(sys.stdin.readline())
    limit_memory(memory)
    answer({})
    for line in sys.stdin:
        answer(render(setting, json.loads(line), characters))


def render(setting: dict[str, Any], asked: dict[str, Any], characters: int) -> dict[str, Any]:
    """Return what a template makes of messages, as ``text`` or ``error``.

    Args:
        setting: ``template`` and its ``special`` tokens by name.
        asked: the ``messages``, and whether an ``answer`` follows.
        characters: how long the text may be.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        rendered, _ = render_jinja_template(
            conversations=[asked["messages"]],
            chat_template=setting["template"],
            add_generation_prompt=asked["answer"],
            continue_final_message=not asked["answer"],
            **setting["special"],
        )
        text = rendered[0]
    except MemoryError:
        return {"error": "out of memory"}
    except Exception as error:  # whatever a template can bring about
        lines = str(error).strip().splitlines()
        return {"error": f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]}
    if len(text) > characters:
        return {"error": f"its text is longer than {characters:,} characters"}
    return {"text": text}
