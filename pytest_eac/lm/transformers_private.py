"""The private names of transformers that this package uses; there is no public way to any of them.

A test holds that they are there, with the newest transformers and the oldest that is supported.
"""

from typing import Any

from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

# Hooks that transformers itself adds once hidden states are asked for; they have no other effect.
CAPTURING_HOOKS = "transformers.utils.output_capturing"
CAPTURING_FLAG = "_output_capturing_hooks_installed"
LOCAL_ENTRIES = "_local_mapping"
"""Where a registry, such as that of attention implementations, has the entries added to it."""


def attention_of(model: PreTrainedModel) -> str:
    """Return the attention implementation that a model computes with."""
    return str(getattr(model.config, "_attn_implementation", None))


def unwritten_settings(config: PreTrainedConfig) -> dict[str, Any]:
    """Return what a configuration was read with, and does not write when it is saved."""
    names = ("attn_implementation", "experts_implementation")
    return {name: getattr(config, f"_{name}", None) for name in names}


def generation_from_config(folder: Any, file: str) -> GenerationConfig:
    """Return the generation settings of a model that has them in its configuration only."""
    return GenerationConfig.from_pretrained(folder, config_file_name=file, _from_model_config=True)


def generation_defaults() -> dict[str, Any]:
    """Return the defaults of parameters of generation that are null or missing."""
    found: dict[str, Any] = getattr(GenerationConfig, "_get_default_generation_params", dict)()
    return found
