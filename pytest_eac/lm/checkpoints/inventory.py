"""Every file of a release: compared with the base's, the base's own, known to be harmless, or not.

What is on disk and what a hub repository lists are both looked at, in all folders. A file that was
not fetched is judged by its name, size and hash.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eac.data.files import file_sha256, open_regular
from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.allowed_files import HARMLESS_FILES, fits, is_pickle, reason_against
from pytest_eac.lm.checkpoints.git_files import reason_against_clone
from pytest_eac.lm.loading.model_folder import (
    ADAPTER,
    INDEX,
    MAX_FILES,
    TEMPLATES,
    WEIGHTS,
    ListedFile,
    list_tree,
)
from pytest_eac.lm.loading.untrusted_files import read_json, require_inside, same_bytes
from pytest_eac.records.checkpoint_diff import ExtraFile

# What configuration.py compares with the base's, whether or not that has a file of the same name.
COMPARED = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
    *("chat_template.jinja", "chat_template.json", f"{TEMPLATES}/*.jinja"),
)
_SHA256_DIGITS = 64
_CONTRADICTION = (
    f"does not place all tensors in {WEIGHTS}, from which transformers reads them; others may go "
    "by it: remove it"
)
_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".h5", ".msgpack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the files of a release are, beside those that are compared.

    Attributes:
        troubles: what is wrong with the files, a line each that begins with the name.
        extra: the files that are reported unless the spec allows them.
        unedited: other weights that are the base's own.
        as_written: JSON files that both have, with other bytes: their keys are to be compared.
    """

    troubles: tuple[str, ...]
    extra: tuple[ExtraFile, ...]
    unedited: tuple[str, ...]
    as_written: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A model's folder, and what its repository lists."""

    folder: Path
    files: Mapping[str, ListedFile]


def side(folder: Path, files: Sequence[ListedFile] = ()) -> Side:
    """Return what a model holds: the files of its folder, and those that are only listed."""
    known = {each.name: each for each in list_tree(folder)}
    return Side(folder=folder, files={**known, **{each.name: each for each in files}})


def take_inventory(base: Side, edited: Side, placed: Mapping[str, str] | None = None) -> Inventory:
    """Sort the files of a release.

    Args:
        base: the base.
        edited: the release.
        placed: the file that each of its tensors was read from; ``None`` if they cannot be read.
    """
    read = None if placed is None else set(placed.values())
    names = [name for name in sorted(edited.files) if not _is_compared(name, read)]
    own = {name for name in names if not is_pickle(name) and _is_own(base, edited, name)}
    written = {
        name
        for name in names
        if name.endswith(".json") and name not in HARMLESS_FILES and _on_both(base, edited, name)
    }
    reasons = {
        name: reason_against(name, in_base=name in base.files)
        or reason_against_clone(edited.folder, name)
        for name in names
        if name not in own | written
    }
    if INDEX in edited.files:
        reasons[INDEX] = _contradiction(base, edited, placed)
    return Inventory(
        troubles=tuple(_troubles(edited)),
        extra=tuple(ExtraFile(name=name, why=why) for name, why in reasons.items() if why),
        unedited=tuple(sorted(name for name in own if name.lower().endswith(_WEIGHTS))),
        as_written=tuple(sorted(written - own)),
    )


def _is_compared(name: str, read: Collection[str] | None) -> bool:
    """Return whether a file is compared, or reported, by its content elsewhere."""
    if read is None and name.endswith(".safetensors") and "/" not in name:
        return True  # what cannot be read is reported once
    if name in {INDEX, ADAPTER} or name in (read or ()):
        return True
    return fits(name, COMPARED)


def _troubles(edited: Side) -> Iterator[str]:
    if len(edited.files) > MAX_FILES:
        yield (
            f"{edited.folder.name}: found more than {MAX_FILES:,} files, of which the first were "
            "looked at; release the model's files alone"
        )
    for _, file in sorted(edited.files.items()):
        yield from _trouble_with(edited, file)


def _trouble_with(edited: Side, file: ListedFile) -> Iterator[str]:
    path = edited.folder / file.name
    if file.name == ADAPTER:
        yield (
            f"{ADAPTER}: is an adapter, which transformers adds to the weights when it loads them; "
            "release it separately"
        )
    if path.is_file() and path.stat().st_size != file.size:
        yield (
            f"{file.name}: has {path.stat().st_size} bytes, but the repository lists "
            f"{file.size}; fetch it again"
        )
    if path.is_symlink():
        try:
            require_inside(edited.folder, [file.name])
        except ModelError as error:
            yield str(error).removeprefix(f"{edited.folder}/")
        else:
            if path.is_dir():
                yield f"{file.name}: is a link to a folder, which was not looked into; remove it"
    elif path.exists() and not path.is_file():
        yield f"{file.name}: is no regular file; remove it"


def _contradiction(base: Side, edited: Side, placed: Mapping[str, str] | None) -> str | None:
    """Return what is wrong with an index beside a single file that says something else than it.

    It may be the base's own if that has both as well.
    """
    if WEIGHTS not in edited.files or placed is None:
        return None  # weights are read by the index then
    if WEIGHTS in base.files and _is_own(base, edited, INDEX):
        return None
    path = edited.folder / INDEX
    try:
        return _CONTRADICTION if read_json(path).get("weight_map") != placed else None
    except ModelError as error:
        return f"{str(error).removeprefix(f'{path}: ')}; remove it"


def _on_both(base: Side, edited: Side, name: str) -> bool:
    return (base.folder / name).is_file() and (edited.folder / name).is_file()


def _is_own(base: Side, edited: Side, name: str) -> bool:
    """Return whether a file is the base's own, byte for byte.

    What is on disk is read, since that is what a model is loaded from; the hash that a repository
    lists stands for a file that was not fetched.
    """
    if name not in base.files:
        return False
    one, two = base.files[name], edited.files[name]
    if one.size != two.size:
        return False
    paths = base.folder / name, edited.folder / name
    here = [path for path in paths if path.is_file()]
    known = two.hash if paths[0] in here else one.hash
    try:
        if len(here) == 2:
            return same_bytes(*paths)
        if here and known:
            return _hash_like(known, here[0], one.size) == known
        return bool(known) and one.hash == two.hash
    except OSError:
        return False


def _hash_like(known: str, path: Path, size: int) -> str:
    """Return the hash that a repository would list for a file, of the same kind as ``known``."""
    if len(known) == _SHA256_DIGITS:
        return file_sha256(path)
    git = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: git).hexdigest()
