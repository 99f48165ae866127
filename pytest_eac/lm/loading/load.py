"""A model and its tokenizer from a hub id, a folder, a ``.gguf`` file, or an installed package."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pytest_eac.errors import EditError, ModelError
from pytest_eac.lm.devices import find_device, spare_bytes
from pytest_eac.lm.layout import Layout, find_layout, shape_of, text_config
from pytest_eac.lm.library_calls import quiet, refusing
from pytest_eac.lm.loading.find import find_model
from pytest_eac.lm.loading.kernels import no_kernels
from pytest_eac.lm.loading.pretrained import DTYPES, SAVE_AGAIN, load_pretrained
from pytest_eac.lm.loading.unchanged_files import ModelFiles, files_of
from pytest_eac.lm.tokens import Batch, decode, encode, pad
from pytest_eac.lm.weights import fingerprint, own_memory, require_finite

_SHOWN = 12  # tokens of a prompt that show which one it is


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to edit: on its device, in evaluation mode, all weights frozen and finite.

    Attributes:
        model: the Hugging Face causal language model.
        tokenizer: its fast tokenizer.
        layout: where its architecture keeps the parts to edit.
        id: what the user asked for.
        revision: the hub commit, or the SHA-256 of a ``.gguf`` file; ``None`` for a folder.
        files: what it was loaded from; ``None`` for one that was made in memory.
        offline: whether nothing may be fetched from the hub for it.
    """

    model: Any
    tokenizer: Any
    layout: Layout
    id: str
    revision: str | None
    files: ModelFiles | None = None
    offline: bool = False

    @property
    def _embeddings(self) -> Tensor:
        """(tokens, width): a row for each token id."""
        embeddings: Tensor = self.model.get_input_embeddings().weight
        return embeddings

    @property
    def device(self) -> torch.device:
        """The device that takes the inputs."""
        return self._embeddings.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self._embeddings.dtype

    @property
    def pad_id(self) -> int:
        """The id to fill padding with; masks come from lengths, so any id would do."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None and token < len(self._embeddings):
                return int(token)
        return 0

    @cached_property
    def cache_name(self) -> str:
        """The name of the key-value cache, as an argument of the model and in its output.

        transformers 5.24 has renamed ``past_key_values`` to ``cache`` and warns of the old name.
        """
        named = inspect.signature(self.model.forward).parameters
        return "cache" if "cache" in named else "past_key_values"

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """The ids that end a text.

        Raises:
            ModelError: the generation configuration has something else there.
        """
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list) else [configured]
        for token in listed:
            if token is not None and not isinstance(token, int):
                raise ModelError(
                    f"{self.id}: generation_config.json: found eos_token_id: {configured!r}, "
                    "expected the id of a token or a list of them"
                )
        return frozenset(
            token for token in (*listed, self.tokenizer.eos_token_id) if token is not None
        )

    def pad(self, rows: Sequence[Sequence[int]], *, side: str, more: int = 0) -> Batch:
        """Pad rows of ids for this model, ``more`` tokens of which are still to come.

        Raises:
            EditError: a row is longer than the model's positions.
            ModelError: an id has no embedding.
        """
        self.require_room(max(rows, key=len), more)
        for row in rows:
            self._require_embedded(row)
        return pad(rows, side=side, fill=self.pad_id, device=self.device)

    def require_room(self, row: Sequence[int], more: int = 0) -> None:
        """Raise unless the model takes a row of ids with ``more`` tokens behind it.

        Raises:
            EditError: they are more than its positions.
            ModelError: an id has no embedding.
        """
        self._require_embedded(row)
        limit = getattr(text_config(self.model.config), "max_position_embeddings", None)
        if limit is not None and len(row) + more > limit:
            start = decode(self.tokenizer, row[:_SHOWN], special=False)
            raise EditError(
                f"the prompt {f'{start}...'!r} has {len(row) + more} tokens, but the model takes "
                f"{limit}"
            )

    def _require_embedded(self, row: Sequence[int]) -> None:
        if (highest := max(row, default=0)) >= (count := len(self._embeddings)):
            raise ModelError(
                f"{self.id}: the tokenizer gives the id {highest}, but the model has embeddings "
                f"for {count} tokens: they do not belong together; take the tokenizer that "
                "was saved with the model"
            )

    @property
    def spare_bytes(self) -> int:
        """How much memory work that can be split may take at once."""
        return spare_bytes(self.device)

    def require_files(self) -> None:
        """Raise unless the files that the model was loaded from are as they were.

        Raises:
            ModelError: names those that are not.
        """
        if self.files is not None:
            self.files.require_unchanged()

    @cached_property
    def shape(self) -> dict[str, Any]:
        """Configuration values that presets go by."""
        return shape_of(self.model.config)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights as loaded; read it before the first edit."""
        return fingerprint(self.model)


def load_model(
    model_id: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    cache_dir: Path | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> LoadedModel:
    """Load a model.

    Its weights are a copy: they stay as they are if its files are changed later. While they are
    copied on a CPU, the files are mapped as well and may count as memory a second time.

    Args:
        model_id: hub id, folder, ``.gguf`` file, or ``package:NAME[/FILE]``.
        revision: branch, tag or commit; hub models only.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto`` (a GPU if there is one), or a torch device name.
        cache_dir: where a converted GGUF file is kept; by default the user's cache folder.
        offline: take hub models from the local cache only.
        trust_remote_code: run code that comes with the model or that it has fetched from elsewhere;
            never for a release.
        report: called with the progress of a hub model's download.

    Raises:
        UnavailableError: the model or the device is not on this machine.
        ModelError: it is there but cannot be used, or its files change meanwhile.
        NonFiniteError: a weight is NaN or infinite.
    """
    if dtype not in {"auto", *DTYPES}:
        raise ModelError(f"found dtype {dtype!r}, expected auto, {', '.join(DTYPES)}")
    torch_device = find_device(device)
    found = find_model(
        model_id,
        revision=revision,
        cache_dir=cache_dir,
        offline=offline,
        code=trust_remote_code,
        report=report,
    )
    files = files_of(found.folder)
    with quiet(), nullcontext() if trust_remote_code else no_kernels():
        names = [each.name for each in found.files]
        model, tokenizer = load_pretrained(
            model_id, found.folder, names, dtype=dtype, trusted=trust_remote_code
        )
        model.to(torch_device).eval().requires_grad_(requires_grad=False)
        own_memory(model)
        loaded = LoadedModel(
            model=model,
            tokenizer=tokenizer,
            layout=find_layout(model.config),
            id=model_id,
            revision=found.revision,
            files=files.hashed(),
            offline=offline,
        )
        if dtype != "auto" and loaded.dtype != DTYPES[dtype]:
            raise ModelError(f"{model_id}: found weights in {loaded.dtype}, expected {dtype}")
        require_finite(model)
        _require_running(loaded)
    return loaded


def _require_running(loaded: LoadedModel) -> None:
    """Raise if the model fails at the first token, before anything is built upon it."""
    ids = encode(loaded.tokenizer, "a")[-1:]
    loaded.stop_ids  # noqa: B018 - that they are ids
    inputs = loaded.pad([ids], side="right").as_inputs()
    with refusing(f"{loaded.id}: cannot be run as config.json says", SAVE_AGAIN), torch.no_grad():
        loaded.model(**inputs).logits  # noqa: B018 - that it has some
