"""The state of a tokenizer that later results depend on: compared and restored."""

import json
from typing import Any

from pytest_eac.lm.state.model_contents import flatten

_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


class TokenizerState:
    """A tokenizer as it is now.

    Padding and truncation are restored, but are no difference: every call sets them for itself.

    Args:
        tokenizer: a fast tokenizer.
        whole: whether to keep all of it, for :meth:`differences`.
    """

    def __init__(self, tokenizer: Any, *, whole: bool) -> None:
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._padding, self._truncation = self._backend.padding, self._backend.truncation
        self._text = self._backend.to_str() if whole else ""

    def flatten(self, found: dict[str, Any], seen: set[int]) -> None:
        """Put the tokenizer's present attributes and steps into ``found``, by name."""
        about = vars(self._tokenizer)
        about = {name: each for name, each in about.items() if name != "deprecation_warnings"}
        flatten(about, "tokenizer", found, seen)
        backend = self._tokenizer.backend_tokenizer
        found["tokenizer.vocabulary size"] = backend.get_vocab_size()
        found |= {f"tokenizer.{name}": repr(getattr(backend, name)) for name in _PIPELINE}

    def differences(self) -> list[str]:
        """Compare the tokenizer in full, except for padding and truncation."""
        now = self._backend.to_str()
        if now == self._text:
            return []
        then_parts, now_parts = json.loads(self._text), json.loads(now)
        return [
            f"the tokenizer's {name}"
            for name, then in then_parts.items()
            if name not in {"padding", "truncation"} and now_parts.get(name) != then
        ]

    def put_back(self) -> None:
        """Restore padding and truncation."""
        backend, padding, truncation = self._backend, self._padding, self._truncation
        if backend.padding != padding:
            backend.enable_padding(**padding) if padding else backend.no_padding()
        if backend.truncation != truncation:
            backend.enable_truncation(**truncation) if truncation else backend.no_truncation()
