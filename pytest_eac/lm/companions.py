"""What a checkpoint has beside its weights: configuration, tokenizer, and what must not be."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoint import read_json
from pytest_eac.lm.find import quiet
from pytest_eac.lm.folder import ADAPTER, list_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_eac.lm.folder import ListedFile

# What says who wrote a file, or where it lay, and nothing of the model.
_IDLE = {"transformers_version", "_name_or_path", "_from_model_config", "_commit_hash"}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".h5", ".msgpack")
_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "chat_template", "model_max_length")


def compare_companions(
    base: Path, edited: Path, files: Sequence[ListedFile] | None = None
) -> list[str]:
    """Return what differs between two checkpoints' other files, a line each, the file first.

    Configuration and tokenizer are compared as they load, so that a default which one of them
    writes out and the other leaves out is no difference. No code of a checkpoint is run.

    Args:
        base: the base's folder.
        edited: the release's folder.
        files: what the release's repository lists; by default the files of its folder.

    Raises:
        ModelError: the base's own cannot be read.
    """
    files = list_folder(edited) if files is None else files
    found = [*_unwanted([each.name for each in files]), *_other_sizes(edited, files)]
    for name, read in (
        ("config.json", _config),
        ("generation_config.json", _generation),
    ):
        was = read(base)
        try:
            now = read(edited)
        except ModelError as error:
            found.append(f"{name}: {str(error).removeprefix(f'{edited / name}: ')}")
        else:
            found += [f"{name}: {line}" for line in _differences(was, now)]
    return [*found, *_compare_tokenizers(base, edited)]


def _unwanted(names: Collection[str]) -> Iterator[str]:
    for name in names:
        if "/" not in name and any(fnmatchcase(name, pattern) for pattern in _PICKLES):
            yield (
                f"{name}: is a pickle file, which can run code when it is loaded; release the "
                "weights as .safetensors alone (model.save_pretrained)"
            )
    if ADAPTER in names:
        yield (
            f"{ADAPTER}: is an adapter, which transformers adds to the weights when it loads them; "
            "release it apart"
        )


def _other_sizes(folder: Path, files: Iterable[ListedFile]) -> Iterator[str]:
    for each in files:
        path = folder / each.name
        if path.is_file() and path.stat().st_size != each.size:
            yield (
                f"{each.name}: has {path.stat().st_size} bytes, but the repository lists "
                f"{each.size}; fetch it again"
            )


def other_weights(files: Iterable[ListedFile], read: Collection[str]) -> tuple[str, ...]:
    """Return the files with weights that are not among those that are ``read``."""
    return tuple(
        each.name for each in files if each.name.endswith(_WEIGHTS) and each.name not in read
    )


def _compare_tokenizers(base: Path, edited: Path) -> list[str]:
    one = _load_tokenizer(base)
    try:
        two = _load_tokenizer(edited)
    except ModelError as error:
        return [f"tokenizer.json: {error}"]
    texts = [each.backend_tokenizer.to_str() for each in (one, two)]
    was, now = map(json.loads, texts) if len(set(texts)) > 1 else ({}, {})
    special = [{name: getattr(each, name, None) for name in _TOKENS} for each in (one, two)]
    return [
        *(f"tokenizer.json: {line}" for line in _differences(was, now)),
        *(f"tokenizer_config.json: {line}" for line in _differences(special[0], special[1])),
    ]


def _config(folder: Path) -> dict[str, Any]:
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'}: {_first_line(error)}") from error
    code = read_json(folder / "config.json").get("auto_map")  # the loaded form may leave it out
    return {**config.to_dict(), "auto_map": code}


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return read_json(path) if path.is_file() else {}


def _load_tokenizer(folder: Path) -> Any:
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"no usable tokenizer: {_first_line(error)}") from error
    return tokenizer


def _differences(was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield a line for each key whose values differ; mappings are looked into, lists are not."""
    for name in sorted((was.keys() | now.keys()) - _IDLE):
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and len(prefix) < 80:
            if max(len(old), len(new)) < 1000:
                yield from _differences(old, new, f"{prefix}{name}.")
                continue
            one = next(key for key in [*old, *new] if old.get(key) != new.get(key))
            old, new = {one: old.get(one)}, {one: new.get(one)}
        yield f"{prefix}{name} is {_short(new)}, in the base {_short(old)}"


def _short(value: Any) -> str:
    text = "not there" if value is None else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
