"""Configuration, weights and tokenizer as transformers loads them; its errors in our terms."""

from collections.abc import Collection, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.layout import LAYOUTS, find_layout
from pytest_eac.lm.library_calls import brief, refusing
from pytest_eac.lm.loading.config_limits import require_few_parts, require_sizes
from pytest_eac.lm.loading.kernels import require_own_code
from pytest_eac.lm.loading.model_folder import CONFIG, require_tokenizer
from pytest_eac.lm.loading.tensors import open_checkpoint
from pytest_eac.lm.loading.tokenizer_limits import require_bounded, require_bounded_texts
from pytest_eac.lm.loading.untrusted_files import read_object

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SAVE_AGAIN = "fetch the files again, or save the model again with model.save_pretrained"
_SAVE_TOKENIZER = "save it again, with AutoTokenizer.from_pretrained(BASE).save_pretrained(FOLDER)"


def load_pretrained(
    model_id: str, folder: Path, names: Collection[str], *, dtype: str, trusted: bool
) -> tuple[Any, Any]:
    """Load a model and its tokenizer, once its files are known to belong together.

    Args:
        model_id: what the user asked for, for messages.
        folder: where its files are.
        names: the files that the folder or its repository lists.
        dtype: one of ``DTYPES``, or ``auto``.
        trusted: whether the model's own code may be run.

    Raises:
        ModelError: the model or its tokenizer cannot be used.
    """
    # From the folder, also for a hub model: given its id, transformers looks for other files too.
    where = {"pretrained_model_name_or_path": str(folder), "trust_remote_code": trusted}
    config_file = folder / CONFIG
    config = _load_config(model_id, where)
    find_layout(config)  # an error for an architecture that cannot be edited
    if not trusted:
        require_own_code(config_file, read_object(config_file))
    tensors = open_checkpoint(folder).tensors
    require_few_parts(config_file, config.to_dict(), len(tensors))
    require_tokenizer(folder, names)
    with refusing(f"{model_id}: weights cannot be read as config.json says", SAVE_AGAIN):
        if not trusted:
            require_sizes(config_file, config, sum(prod(each.shape) for each in tensors.values()))
        model, info = AutoModelForCausalLM.from_pretrained(
            config=config,
            dtype=DTYPES.get(dtype, "auto"),
            use_safetensors=True,
            output_loading_info=True,
            **where,
        )
    require_all_weights(model_id, info)
    return model, load_tokenizer(model_id, where)


def _load_config(model_id: str, where: dict[str, Any]) -> Any:
    with refusing(f"{model_id}: config.json cannot be used", SAVE_AGAIN):
        try:
            return AutoConfig.from_pretrained(**where)
        except ValueError as error:
            if "model type" not in str(error) and "model_type" not in str(error):
                raise
            known = ", ".join(sorted(LAYOUTS))
            raise ModelError(
                f"{model_id}: transformers does not know this architecture ({brief(error)}); "
                f"pytest-eac knows {known}"
            ) from error


def load_tokenizer(model_id: str, where: dict[str, Any]) -> Any:
    """Load a fast tokenizer by the arguments of ``from_pretrained``, and encode a letter with it.

    Raises:
        ModelError: names the model; there is none, it is a slow one, or it fails.
    """
    folder = Path(where["pretrained_model_name_or_path"])
    require_bounded(folder)
    with refusing(f"{model_id}: no usable tokenizer", _SAVE_TOKENIZER):
        tokenizer = AutoTokenizer.from_pretrained(**where)
        require_bounded_texts(folder, tokenizer)
        ids = tokenizer("a")["input_ids"]
        tokenizer.decode(ids[-1:])
    if not ids:
        raise ModelError(f"{model_id}: the tokenizer is empty; is tokenizer.json missing?")
    if not tokenizer.is_fast:
        raise ModelError(
            f"{model_id}: {type(tokenizer).__name__} gives no character offsets; "
            "expected a fast tokenizer (tokenizer.json)"
        )
    return tokenizer


def require_all_weights(model: object, info: Mapping[str, Collection[str]]) -> None:
    """Raise if transformers initialised weights at random, according to its loading report.

    Raises:
        ModelError: names some of them.
    """
    if info["missing_keys"]:
        names = ", ".join(sorted(info["missing_keys"])[:5])
        raise ModelError(f"{model}: the checkpoint lacks weights that the model needs: {names}")
