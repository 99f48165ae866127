"""The tokenizers of a base and of a release, with their folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from pytest_eac.lm.library_calls import quiet, refusing
from pytest_eac.lm.loading.tokenizer_limits import require_bounded, require_bounded_texts

SETTINGS = "tokenizer_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerPair:
    """Two tokenizers to be compared.

    Attributes:
        base: the base's folder.
        edited: the release's folder.
        was: the base's tokenizer, as transformers loads it.
        now: the release's, likewise.
    """

    base: Path
    edited: Path
    was: Any
    now: Any


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a folder; none of its code is run.

    Raises:
        ModelError: there is none that can be used, or it asks for what no tokenizer needs.
    """
    require_bounded(folder)
    with refusing("no usable tokenizer"), quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer.backend_tokenizer.to_str()
    require_bounded_texts(folder, tokenizer)
    return tokenizer
