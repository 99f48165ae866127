"""Prompts in a model's chat template, which is a program that comes with the model.

It is run in a child process that has a bound on time and memory: Jinja's sandbox keeps a template
from files and from Python, but not from looping or from making a text that fills the memory.
"""

import json
import subprocess
from functools import lru_cache
from threading import Timer
from typing import Any

from pytest_eac.child_processes import started
from pytest_eac.errors import ModelError, SettingsError
from pytest_eac.lm.tokens import encode

SECONDS = 10.0
"""How long a template may take for one prompt."""
MEMORY_BYTES = 2**30
"""How much memory it may take, where the system can limit that."""
TEXT_CHARACTERS = 2**20
"""How long a prompt may become."""

_START_SECONDS = 120.0  # to import transformers on a slow disk
_SERVER = "pytest_eac.lm.chat_process"


def chat_prompt(tokenizer: Any, text: str) -> str:
    """Return a text as a user's message in the tokenizer's chat template, up to the answer.

    A start token that :func:`pytest_eac.lm.tokens.encode` will add is left out.

    Raises:
        SettingsError: the tokenizer has no chat template.
        ModelError: the template has an error, or needs more time, memory or text than the bounds.
    """
    prompt = rendered(tokenizer, [{"role": "user", "content": text}])
    start = tokenizer.bos_token
    adds_it = start is not None and encode(tokenizer, "a")[:1] == (tokenizer.bos_token_id,)
    return prompt.removeprefix(start) if adds_it else prompt


def rendered(tokenizer: Any, messages: list[dict[str, str]], *, answer: bool = True) -> str:
    """Return messages in the tokenizer's chat template, up to where an answer begins.

    Args:
        tokenizer: the model's.
        messages: ``role`` and ``content`` of each.
        answer: whether an answer follows; else the last message goes on.

    Raises:
        SettingsError: the tokenizer has no chat template.
        ModelError: as for :func:`chat_prompt`.
    """
    if not tokenizer.chat_template:
        raise SettingsError("chat: true: the model's tokenizer has no chat template; drop it")
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise ModelError(f"chat template: {error}") from None
    setting = {"template": template, "special": tokenizer.special_tokens_map}
    renderer = _renderer(json.dumps(setting, default=str))
    return renderer.render({"messages": messages, "answer": answer})


class _Renderer:
    """A child process for one template; it ends when this object or this process does."""

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._child: subprocess.Popen[str] | None = None

    def render(self, asked: dict[str, Any]) -> str:
        """Return what the template makes of messages.

        Raises:
            ModelError: as for :func:`chat_prompt`.
        """
        if self._child is None:
            self._child = self._started()
        answer = self._ask(self._child, json.dumps(asked), SECONDS)
        if "error" in answer:
            raise ModelError(f"chat template: {answer['error']}")
        return str(answer["text"])

    def _started(self) -> subprocess.Popen[str]:
        child = started(_SERVER, MEMORY_BYTES, TEXT_CHARACTERS, stdin=subprocess.PIPE)
        self._ask(child, self._setting, _START_SECONDS)
        return child

    def _ask(self, child: subprocess.Popen[str], line: str, seconds: float) -> dict[str, Any]:
        if child.stdin is None or child.stdout is None:
            raise ModelError("chat template: its process has no pipes")
        timer = Timer(seconds, child.kill)
        timer.start()
        try:
            child.stdin.write(f"{line}\n")
            child.stdin.flush()
            answer = child.stdout.readline()
        except OSError:
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            self.close(child)
            raise ModelError(
                f"chat template: not done after {seconds:g} seconds, or out of memory "
                f"({MEMORY_BYTES / 2**30:g} GB); drop chat: true, or take another template"
            )
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self, child: subprocess.Popen[str] | None = None) -> None:
        """End the process."""
        child, self._child = child or self._child, None
        if child:
            child.kill()
            child.communicate()

    def __del__(self) -> None:
        self.close()


_renderer = lru_cache(maxsize=2)(_Renderer)  # the base's and the release's
