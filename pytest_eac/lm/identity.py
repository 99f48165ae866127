"""What a model's outputs depend on besides its inputs."""

import hashlib
import json
from importlib.metadata import version

from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.transformers_private import attention_of


def identify(loaded: LoadedModel) -> dict[str, str]:
    """Return everything that a model's outputs depend on, as texts.

    Two models with the same identity give the same answers. The weights are those that were loaded,
    before any edit.
    """
    kind = type(loaded.model)
    # Without where the files were, and which version wrote them.
    config = {
        name: value
        for name, value in loaded.model.config.to_dict().items()
        if not name.startswith("_") and name != "transformers_version"
    }
    return {
        "weights": loaded.fingerprint,
        "class": f"{kind.__module__}.{kind.__qualname__}",  # a hub model's code: with its commit
        "config": _sha256(json.dumps(config, sort_keys=True, default=str)),
        "attention": attention_of(loaded.model),
        "dtype": str(loaded.dtype),
        "device": loaded.device.type,
        "tokenizer": _sha256(loaded.tokenizer.backend_tokenizer.to_str()),
        "stop_ids": " ".join(map(str, sorted(loaded.stop_ids))),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "tokenizers": version("tokenizers"),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
