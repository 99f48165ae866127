"""What a release may hold although its base does not: the one list of what is harmless.

A file of a release is compared with the base's, or is the base's own byte for byte, or is in
``HARMLESS_FILES``, or is reported. A key of its JSON files is equal to the base's, or is in
``HARMLESS_KEYS`` (of a configuration), or is reported. docs/gate.md shows these tables.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_eac.lm.loading.model_folder import GIT
from pytest_eac.records.manifest import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CHECKED = "written by git or git-lfs, if nothing in it runs another program"
_DOWNLOAD = "notes of a download (hf download)"

HARMLESS_FILES = {
    "*.md": "text for readers; the model card",
    "LICENSE": "text for readers",
    "LICENSE.txt": "text for readers",
    "NOTICE": "text for readers",
    "NOTICE.txt": "text for readers",
    "*.png": "an image",
    "*.jpg": "an image",
    "*.jpeg": "an image",
    "*.gif": "an image",
    "*.webp": "an image",
    ".gitattributes": GIT,
    ".gitignore": GIT,
    ".git/HEAD": GIT,
    ".git/FETCH_HEAD": GIT,
    ".git/ORIG_HEAD": GIT,
    ".git/COMMIT_EDITMSG": GIT,
    ".git/description": GIT,
    ".git/index": GIT,
    ".git/packed-refs": GIT,
    ".git/shallow": GIT,
    ".git/info/exclude": GIT,
    ".git/hooks/*.sample": GIT,
    ".git/config": _CHECKED,
    ".git/hooks/post-checkout": _CHECKED,
    ".git/hooks/post-commit": _CHECKED,
    ".git/hooks/post-merge": _CHECKED,
    ".git/hooks/pre-push": _CHECKED,
    ".cache/huggingface/.gitignore": _DOWNLOAD,
    ".cache/huggingface/.gitignore.lock": _DOWNLOAD,
    ".cache/huggingface/CACHEDIR.TAG": _DOWNLOAD,
    ".cache/huggingface/**/*.metadata": _DOWNLOAD,
    ".cache/huggingface/**/*.lock": _DOWNLOAD,
    ".cache/huggingface/**/*.incomplete": _DOWNLOAD,
    MANIFEST: "checked on its own, below",
    SIGNATURE: "the signature of all files, verified where the spec asks for it (signed_by)",
    "trainer_state.json": "log of a training",
    "all_results.json": "scores of a training",
    "train_results.json": "scores of a training",
    "eval_results.json": "scores of a training",
    "events.out.tfevents.[0-9]*[0-9]": "log of a training, for TensorBoard",
}
"""Patterns of names, with the reason why a file of such a name is no finding.

A ``*`` stands for any part of one name. A pattern without a folder fits names in any folder, a name
without ``*`` the one at the top alone; ``**`` stands for any folders, or none.
"""

HARMLESS_KEYS = {
    "transformers_version": "who wrote the file",
    "_name_or_path": "where the files lay",
    "name_or_path": "where the files lay",
    "_commit_hash": "where the files lay",
    "is_local": "where the files lay",
    "local_files_only": "where the files lay",
    "_from_model_config": "how the file came about",
    "_attn_implementation_autoset": "how the file came about",
}
"""Keys of a configuration, with the reason why they do not count; :func:`counted` says where."""

_PICKLES = (
    *("*.bin", "*.pt", "*.pth", "*.pth.*", "*.pkl", "*.pickle", "*.ckpt", "*.joblib", "*.dill"),
    *("*.sav", "*.pdparams", "*.nemo", "*.mar", "*.distcp"),
)
# Why a file that is not known is reported; the first pattern that fits counts.
_REASONS = {
    (
        *("*.py", "*.pyc", "*.pyd", "*.pyw", "*.pyz", "*.so", "*.so.*", "*.dylib", "*.dll"),
        *("*.exe", "*.sh", "*.bat", "*.cmd", "*.ps1", "*.js", "*.jar"),
    ): ("is code, which is not the base's; it was not run: release no code"),
    ("*.safetensors", "*.gguf", "*.ggml", "*.onnx", "*.onnx_data", "*.h5", "*.msgpack"): (
        "holds weights that transformers does not load and that were not compared; others may load "
        "them: remove it, or release it separately"
    ),
    ("*.npz", "*.npy", "*.keras", "*.zip", "*.tar", "*.tar.*", "*.tgz", "*.gz", "*.xz", "*.7z"): (
        "may hold pickles or code, and is not the base's; remove it"
    ),
}
PICKLE = (
    "is a pickle file, which can run code when it is loaded; release the weights as .safetensors "
    "alone (model.save_pretrained)"
)


def is_pickle(name: str) -> bool:
    """Return whether a file is a pickle by its name, in capitals or not, in any folder."""
    return fits(name.lower(), _PICKLES)


def reason_against(name: str, *, in_base: bool = False) -> str | None:
    """Return why a file that is not the base's own is reported; ``None`` if it is harmless.

    Args:
        name: its path in the release.
        in_base: whether the base has a file of that name, with another content.
    """
    if is_pickle(name):
        return PICKLE
    for patterns, reason in _REASONS.items():
        if fits(name.lower(), patterns):
            return reason
    if fits(name, HARMLESS_FILES):
        return None
    if in_base:
        return "is not the base's file of that name; put that in its place"
    return "is not in the base and not known to be harmless; remove it"


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a file's path fits one of these patterns, as ``HARMLESS_FILES`` has them."""
    return any(_fits(name, pattern) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    folder, _, own = name.rpartition("/")
    wanted, _, last = pattern.rpartition("/")
    if wanted.endswith("**"):
        placed = f"{folder}/".startswith(wanted.removesuffix("**"))
    else:
        placed = folder == wanted or (not wanted and "*" in last)
    return placed and fnmatchcase(own, last)


def counted(keys: Mapping[str, object]) -> set[str]:
    """Return the keys of a JSON object that are not known to be harmless.

    A harmless key has a text, a number or nothing; what holds other keys counts.
    """
    held = (dict, list)
    return {
        name for name, value in keys.items() if name not in HARMLESS_KEYS or type(value) in held
    }
