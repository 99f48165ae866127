"""What a folder of ``save_pretrained`` must hold to be loaded as it is, and what it must not."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytest_eac.data.files import open_regular
from pytest_eac.errors import ModelError
from pytest_eac.records.manifest import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TEMPLATES = "additional_chat_templates"
ADAPTER = "adapter_config.json"
GIT = "git's own"
HARMLESS_FOLDERS = {
    ".git/logs": GIT,
    ".git/lfs": GIT,
    ".git/objects": GIT,
    ".git/refs": GIT,
}
"""Folders on disk that are not looked into, with the reason: nothing in them is run."""
# Files of tokenizers; a folder must hold at least one of them.
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "tekken.json", "*.model", "*.tiktoken")
# Configuration, tokenizer and signature. What lies in subfolders belongs to other formats of the
# same model, except for the templates that transformers keeps in a folder of their own.
COMPANIONS = ("*.json", "*.jinja", "*.model", "*.tiktoken", "vocab.txt", "merges.txt", SIGNATURE)
TEXT_BYTES = 64 * 2**20
"""How large a file of configuration or tokenizer may be, and the header of a file of weights."""
SIGNATURE_BYTES = 4 * 2**20
"""How large a signature may be: one of 10,000 files has about half of that."""
MAX_PARTS = 10_000
"""How many layers, experts or labels a configuration may claim: a list is made of each."""
_PARTS = re.compile(r"(layers?|experts|labels|depth|block_count|expert_count)$")
_LAYERS = re.compile(r"(^num_hidden_layers|^n_layers?|block_count)$")
MAX_FILES = 10_000
"""How many files of a folder with subfolders are looked at."""
# Keys by which transformers reads files of other names, or of other folders.
_ELSEWHERE = {
    CONFIG: ("configuration_files",),
    "tokenizer_config.json": ("fast_tokenizer_files", "vocab", "merges"),
}
_LOGS = {"trainer_state.json"}  # of a training: as long as that took, and read by nobody here
_BLOCK = 2**20
_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file of a model as its folder or repository lists it.

    Attributes:
        name: its path inside the folder or repository, with forward slashes.
        size: in bytes.
        hash: of a repository's file, its SHA-256 if it is in large file storage, else its git blob
            id; ``None`` for a file on disk.
    """

    name: str
    size: int
    hash: str | None = None


def list_folder(folder: Path) -> tuple[ListedFile, ...]:
    """Return the files of a folder, without those of its subfolders."""
    return tuple(
        ListedFile(name=path.name, size=path.stat().st_size)
        for path in sorted(folder.iterdir())
        if path.is_file()
    )


def list_tree(folder: Path) -> tuple[ListedFile, ...]:
    """Return the files of a folder and its subfolders, the first ``MAX_FILES`` and one more.

    Links to folders are not followed; they, and what is no regular file, are listed with no bytes.
    Folders that are known to be harmless are not looked into.

    Raises:
        ModelError: a subfolder cannot be read, or its path is longer than the system takes.
    """
    found: list[ListedFile] = []
    try:
        for place, folders, files in os.walk(folder, onerror=_refuse):
            inside = Path(place).relative_to(folder)
            links = [each for each in folders if Path(place, each).is_symlink()]
            folders[:] = sorted(
                each for each in folders if (inside / each).as_posix() not in HARMLESS_FOLDERS
            )
            for name in sorted([*files, *links]):
                path = Path(place, name)
                size = path.stat().st_size if path.is_file() else 0
                found.append(ListedFile(name=(inside / name).as_posix(), size=size))
                if len(found) > MAX_FILES:
                    return tuple(found)
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return tuple(found)


def _refuse(error: OSError) -> NoReturn:
    raise error


def same_bytes(one: Path, two: Path) -> bool:
    """Return whether two files are there and are the same, byte for byte."""
    try:
        with open_regular(one) as first, open_regular(two) as second:
            while True:
                blocks = first.read(_BLOCK), second.read(_BLOCK)
                if blocks[0] != blocks[1]:
                    return False
                if not blocks[0]:
                    return True
    except OSError:
        return False


def files_read(folder: Path) -> tuple[str, ...]:
    """Return the files and links of a folder that loading a model may read, by their paths in it.

    These are weights, configuration, tokenizer and chat templates.
    """
    places = {".": ("*.safetensors", *COMPANIONS), TEMPLATES: ("*.jinja",)}
    return tuple(
        path.relative_to(folder).as_posix()
        for place, patterns in places.items()
        if (folder / place).is_dir()
        for path in sorted((folder / place).iterdir())
        if any(fnmatchcase(path.name, pattern) for pattern in patterns)
        if path.is_file() or path.is_symlink()
    )


def require_companions(folder: Path) -> None:
    """Raise if a configuration or tokenizer must not be read.

    transformers follows links, reads these files whole, and makes lists as long as the
    configuration says, so the files are checked before it sees them.

    Raises:
        ModelError: a file is a link out of the folder or is larger than ``TEXT_BYTES``, or
            ``config.json`` claims more than ``MAX_PARTS`` layers, experts or labels, has other
            files read, or replaces a part of the class that transformers makes of it.
    """
    names = [name for name in files_read(folder) if not name.endswith(".safetensors")]
    require_inside(folder, names)
    for path in (folder / name for name in names if name not in _LOGS):
        if path.is_file() and path.stat().st_size > TEXT_BYTES:
            raise ModelError(
                f"{path}: found {path.stat().st_size:,} bytes, expected at most "
                f"{TEXT_BYTES:,}, which no such file of a model has"
            )
    for name, keys in _ELSEWHERE.items():
        for key in sorted(read_object(folder / name).keys() & keys):
            raise ModelError(
                f"{folder / name}: found {key}, by which other files are read than those of a "
                "model; expected config.json and tokenizer.json: remove the key"
            )
    config = read_object(folder / CONFIG)
    _require_settings(folder / CONFIG, config)
    require_few_parts(folder / CONFIG, config)


def _require_settings(where: Path, config: Mapping[str, object]) -> None:
    """Raise if a configuration replaces a part of the class that transformers makes of it.

    transformers sets an attribute for each key. ``attribute_map`` would have other keys, which
    nobody has checked, stand for those that are; a method would no longer be one.
    """
    from transformers import PreTrainedConfig

    for name, value in config.items():
        if name == "attribute_map" or callable(getattr(PreTrainedConfig, name, None)):
            raise ModelError(
                f"{where}: found {name}, which is a part of the program and no setting; remove the "
                "key"
            )
        if name.endswith("_config") and isinstance(value, dict):
            _require_settings(where, value)


def require_few_parts(where: Path, config: Mapping[str, object], most: int = MAX_PARTS) -> None:
    """Raise if a configuration, or a part of it, claims more layers than a model has.

    Args:
        where: its file, for the message.
        config: what is in it.
        most: how many layers its weights can be enough for, where these are known.

    Raises:
        ModelError: names the key and what it claims.
    """
    for name, value in items_of(config):
        if not isinstance(value, int | float) or not _PARTS.search(str(name)):
            continue
        if value > MAX_PARTS:
            raise ModelError(f"{where}: found {name}: {value:,}, expected at most {MAX_PARTS:,}")
        if value > most and _LAYERS.search(name):
            raise ModelError(
                f"{where}: found {name}: {value:,}, but the weights are those of {most:,} layers "
                "at most; they do not belong together: fetch the files again"
            )


def items_of(config: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the keys and values of a configuration and of all that is nested in it."""
    parts: list[object] = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            yield from part.items()
        if isinstance(part, dict | list):
            parts.extend(part.values() if isinstance(part, dict) else part)


def is_pointer(path: Path) -> bool:
    """Return whether a file is a git-lfs pointer, in place of a file that was not fetched."""
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def require_fetched(folder: Path, names: Iterable[str]) -> None:
    """Raise if one of these files is a git-lfs pointer.

    Raises:
        ModelError: names each pointer and the command that fetches the files.
    """
    pointers = [name for name in names if is_pointer(folder / name)]
    if pointers:
        raise ModelError(
            f"{folder}: {', '.join(pointers)}: found a git-lfs pointer, expected the file itself; "
            f"run: git lfs pull (in {folder})"
        )


def require_model(folder: Path, *, released: bool = False) -> None:
    """Raise unless a folder holds a model that transformers loads as it is.

    Args:
        folder: of ``save_pretrained``.
        released: as for :func:`require_names`; what its index names, the gate reports, too.

    Raises:
        ModelError: says what was found, what was expected and what to do.
    """
    names = [each.name for each in list_folder(folder)]
    require_fetched(folder, names)
    require_companions(folder)
    require_names(folder, names, base=_base_of_adapter(folder), released=released)
    single = WEIGHTS in names
    named = read_object(folder / CONFIG).get("transformers_weights")
    if named not in (None, WEIGHTS if single else INDEX):
        raise ModelError(
            f"{folder / CONFIG}: found transformers_weights: {named!r}, but weights are read from "
            f"{WEIGHTS if single else INDEX}; save the model again with model.save_pretrained"
        )
    if released:
        return
    require_inside(folder, [WEIGHTS] if single else [INDEX])
    if not single:
        placed = read_object(folder / INDEX).get("weight_map")
        require_inside(folder, placed_tensors(folder / INDEX, placed).values())


def placed_tensors(path: Path, weight_map: object) -> dict[str, str]:
    """Return which file each tensor is in, as the index at ``path`` has it.

    transformers reads whatever file an index names, a pickle or one of another folder among them.

    Raises:
        ModelError: it names none, or one that is no ``.safetensors`` file of the same folder.
    """
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{path}: has no weight_map; expected the file of each tensor in it")
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file or "\\" in file:
            raise ModelError(
                f"{path}: says that {name} is in {file!r}, expected a file of the same folder"
            )
        if not file.endswith(".safetensors"):
            raise ModelError(
                f"{path}: says that {name} is in {file!r}, expected a .safetensors; pickle files "
                "can run code when they are loaded: save the model with model.save_pretrained"
            )
    return weight_map


def require_inside(folder: Path, names: Iterable[str]) -> None:
    """Raise if one of these files is a link to a file outside the folder, or its folder is one.

    A snapshot in the hub's cache links to the blobs of its own repository; those are inside.

    Raises:
        ModelError: names the link and its target.
    """
    inside = folder.resolve()
    own = [inside]
    if inside.parent.name == "snapshots" and inside.parents[1].name.startswith("models--"):
        own.append(inside.parents[1] / "blobs")
    for name in dict.fromkeys(names):
        path = folder / name
        try:
            target = path.resolve()
        except (OSError, RuntimeError):  # links in a circle, or a name that is too long
            raise ModelError(f"{path}: is a link that leads nowhere; remove it") from None
        if not any(target.is_relative_to(each) for each in own):
            raise ModelError(
                f"{path}: is a link to {target}, expected a file of the same folder; copy "
                "the file there, or give the folder that it is in"
            )


def require_names(
    place: object, names: Collection[str], *, base: str = "", released: bool = False
) -> None:
    """Raise unless these are the files of a model that transformers loads as it is.

    Args:
        place: the folder or hub model, for messages.
        names: its files.
        base: what its adapter is for, where that is known.
        released: accept what the gate itself reports about a release: an adapter beside the
            weights, a missing index.

    Raises:
        ModelError: says what was found, what was expected and what to do.
    """
    tensors = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    whole = [name for name in tensors if not name.startswith("adapter")]
    if ADAPTER in names and not (CONFIG in names and whole):
        raise ModelError(
            f"{place}: found an adapter{f' of {base}' if base else ''} and no full model; expected "
            f"{CONFIG} and {WEIGHTS}: merge the adapter into its base (peft: "
            "model.merge_and_unload()), save the result with save_pretrained and give that"
        )
    if CONFIG not in names:
        hint = "; it is an export of deltas: add them to their base first, with pytest-eac apply"
        raise ModelError(
            f"{place}: no {CONFIG} in it; expected a folder of save_pretrained"
            f"{hint if MANIFEST in names else ''}"
        )
    if WEIGHTS not in names and INDEX not in names and not (released and whole):
        raise ModelError(f"{place}: {_other_weights(names, tensors)}")
    if ADAPTER in names and not released:
        raise ModelError(
            f"{place}: found an adapter ({ADAPTER}) beside full weights. transformers would add it "
            "to them, though it may be merged into them already; expected one or the other: if it "
            "is merged, remove the adapter's files; if not, merge it (peft: "
            "model.merge_and_unload()) and save the result alone"
        )


def _other_weights(names: Collection[str], tensors: list[str]) -> str:
    pickles = [name for name in names if name.endswith((".bin", ".pt")) and "/" not in name]
    remedy = "save the model with model.save_pretrained"
    if pickles and not tensors:
        remedy = "pickle files can run code: convert with model.save_pretrained"
    found = ", ".join([*tensors, *pickles]) or "none"
    return f"found {found}, expected weights as .safetensors ({WEIGHTS} or {INDEX}; {remedy})"


def require_tokenizer(place: object, names: Collection[str]) -> None:
    """Raise if there is no file that a tokenizer could be made from.

    Raises:
        ModelError: names the files that are expected.
    """
    if not any(fnmatchcase(name, pattern) for name in names for pattern in _TOKENIZERS):
        raise ModelError(
            f"{place}: no tokenizer in it; expected tokenizer.json and tokenizer_config.json (or "
            "vocab.json and merges.txt, or tokenizer.model): save the tokenizer beside the "
            "weights, with AutoTokenizer.from_pretrained(BASE).save_pretrained(FOLDER)"
        )


def _base_of_adapter(folder: Path) -> str:
    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    return base if isinstance(base, str) else ""


def read_object(path: Path) -> dict[str, object]:
    """Return a file's JSON object; an empty one if it has none, which its reader reports.

    A file larger than ``TEXT_BYTES`` is not read.
    """
    try:
        with open_regular(path) as file:
            data = file.read(TEXT_BYTES + 1)
        found = json.loads(data) if len(data) <= TEXT_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
