"""Which files a model's folder or repository has, and which it must or must not have."""

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.untrusted_files import files_below
from pytest_eac.records.manifest import MANIFEST, SIGNATURE

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TEMPLATES = "additional_chat_templates"
ADAPTER = "adapter_config.json"
GIT = "git's own"
HARMLESS_FOLDERS = dict.fromkeys((".git/logs", ".git/lfs", ".git/objects", ".git/refs"), GIT)
"""Folders on disk that are skipped, with the reason: nothing in them is run."""
# Files of tokenizers; a folder must hold at least one of them.
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "tekken.json", "*.model", "*.tiktoken")
# Configuration, tokenizer and signature. Files in subfolders belong to other formats of the same
# model, except for the templates that transformers keeps in a folder of their own.
COMPANIONS = ("*.json", "*.jinja", "*.model", "*.tiktoken", "vocab.txt", "merges.txt", SIGNATURE)
SIGNATURE_BYTES = 4 * 2**20
"""How large a signature may be: one of 10,000 files has about half of that."""
MAX_FILES = 10_000
"""How many files of a folder with subfolders are looked at."""


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

    Folders that are known to be harmless are not looked into; otherwise as
    :func:`pytest_eac.lm.loading.untrusted_files.files_below`.
    """
    found = islice(files_below(folder, HARMLESS_FOLDERS), MAX_FILES + 1)
    return tuple(ListedFile(name=name, size=size) for name, size in found)


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


def placed_tensors(path: Path, weight_map: object) -> dict[str, str]:
    """Return which file each tensor is in, according to the index at ``path``.

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
