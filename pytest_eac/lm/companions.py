"""What a checkpoint has beside its weights: configuration, tokenizer, and what must not be."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoint import read_json
from pytest_eac.lm.code import foreign_code
from pytest_eac.lm.find import quiet
from pytest_eac.lm.folder import ADAPTER, TEMPLATES, list_folder, require_companions
from pytest_eac.lm.foreign import refusing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_eac.lm.folder import ListedFile

# What says who wrote a file, or where it lay, and nothing of the model.
_IDLE = {"transformers_version", "_name_or_path", "_from_model_config", "_commit_hash"}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".h5", ".msgpack")
_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "model_max_length")
_SHOWN = 60  # characters of a value
_BEFORE = 20  # of those, the ones before the place where two values differ


def compare_companions(
    base: Path,
    edited: Path,
    files: Sequence[ListedFile] | None = None,
    base_files: Sequence[ListedFile] = (),
) -> list[str]:
    """Return what differs between two checkpoints' other files, a line each, the file first.

    Configuration and tokenizer are compared as they load, so that a default which one of them
    writes out and the other leaves out is no difference. No code of a checkpoint is run.

    Args:
        base: the base's folder.
        edited: the release's folder.
        files: what the release's repository lists; by default the files of its folder.
        base_files: what the base's repository lists.

    Raises:
        ModelError: the base's own cannot be read.
    """
    files = list_folder(edited) if files is None else files
    found = [
        *_unwanted([each.name for each in files]),
        *_other_sizes(edited, files),
        *foreign_code(base, edited, files, base_files),
    ]
    require_companions(base)
    try:
        require_companions(edited)
    except ModelError as error:
        return [*found, str(error).removeprefix(f"{edited}/")]
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
        if "/" not in name and any(fnmatchcase(name.lower(), pattern) for pattern in _PICKLES):
            yield (
                f"{name}: is a pickle file, which can run code when it is loaded; release the "
                "weights as .safetensors alone (model.save_pretrained)"
            )
    if ADAPTER in names:
        yield (
            f"{ADAPTER}: is an adapter, which transformers adds to the weights when it loads them; "
            "release it separately"
        )


def _other_sizes(folder: Path, files: Iterable[ListedFile]) -> Iterator[str]:
    for each in files:
        path = folder / each.name
        if path.is_file() and path.stat().st_size != each.size:
            yield (
                f"{each.name}: has {path.stat().st_size} bytes, but the repository lists "
                f"{each.size}; fetch it again"
            )


def other_weights(
    files: Iterable[ListedFile], read: Collection[str], base: Iterable[ListedFile] = ()
) -> tuple[str, ...]:
    """Return the files with weights that are not among those that are ``read``.

    One with the same name and hash in the base is marked: it was not edited.
    """
    same = {(each.name, each.hash) for each in base if each.hash}
    return tuple(
        f"{each.name} (the base's own, not edited)" if (each.name, each.hash) in same else each.name
        for each in files
        if each.name.lower().endswith(_WEIGHTS) and each.name not in read
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
        *_compare_templates((base, _templates(one)), (edited, _templates(two))),
    ]


def _templates(tokenizer: Any) -> dict[str, str]:
    """Return a tokenizer's chat templates by name; one without a name is the default."""
    found = tokenizer.chat_template
    return found if isinstance(found, dict) else {"default": found} if found else {}


def _compare_templates(
    base: tuple[Path, dict[str, str]], edited: tuple[Path, dict[str, str]]
) -> Iterator[str]:
    (was_in, was), (is_in, now) = base, edited
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            file = _template_file(name, is_in if name in now else was_in)
            yield f"{file}: chat_template {_contrast(was.get(name), now.get(name))}"


def _template_file(name: str, folder: Path) -> str:
    """Return the file that a chat template comes from."""
    own = "chat_template.jinja" if name == "default" else f"{TEMPLATES}/{name}.jinja"
    return own if (folder / own).is_file() else "tokenizer_config.json"


def _config(folder: Path) -> dict[str, Any]:
    with refusing(f"{folder / 'config.json'}: cannot be used"), quiet():
        found = AutoConfig.from_pretrained(folder, trust_remote_code=False).to_dict()
    code = read_json(folder / "config.json").get("auto_map")  # the loaded form may leave it out
    return {**found, "auto_map": code}


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return read_json(path) if path.is_file() else {}


def _load_tokenizer(folder: Path) -> Any:
    with refusing("no usable tokenizer"), quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer.backend_tokenizer.to_str()
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
        yield f"{prefix}{name} {_contrast(old, new)}"


def _contrast(old: Any, new: Any) -> str:
    """Show two values from where they begin to differ; for long texts, with line and column."""
    one, two = (_shown(value) for value in (old, new))
    at = _first_difference(one, two)
    place = ""
    if isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > _SHOWN:
        before = new[: _first_difference(old, new)]
        column = len(before) - (before.rfind("\n") + 1) + 1
        place = f"differs at line {before.count(chr(10)) + 1}, column {column}: it "
    return f"{place}is {_excerpt(two, at)}, in the base {_excerpt(one, at)}"


def _first_difference(one: str, two: str) -> int:
    pairs = zip(one, two, strict=False)
    return next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(one), len(two)))


def _shown(value: Any) -> str:
    return "not there" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _excerpt(text: str, at: int) -> str:
    if len(text) <= _SHOWN:
        return text
    start = max(0, min(at - _BEFORE, len(text) - _SHOWN))
    end = start + _SHOWN
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
