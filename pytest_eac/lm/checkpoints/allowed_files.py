"""What a release may hold although its base does not: the one list of what is harmless.

A file of a release is compared with the base's, or is the base's own byte for byte, or is in
``HARMLESS_FILES``, or is reported. A key of its JSON files is equal to the base's, or is in
``HARMLESS_KEYS`` (of a configuration), or is reported. docs/gate.md shows these tables.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pytest_eac.lm.loading.model_folder import GIT
from pytest_eac.records.manifest import MANIFEST, SIGNATURE

_CHECKED = "written by git or git-lfs, if nothing in it runs another program"
_DOWNLOAD = "notes of a download (hf download)"
_GIT_FILES = (
    *("HEAD", "FETCH_HEAD", "ORIG_HEAD", "COMMIT_EDITMSG", "description", "index", "packed-refs"),
    *("shallow", "info/exclude", "hooks/*.sample"),
)
_GIT_PROGRAMS = (
    *("config", "hooks/post-checkout", "hooks/post-commit", "hooks/post-merge", "hooks/pre-push"),
)
_DOWNLOAD_FILES = (
    *(".gitignore", ".gitignore.lock", "CACHEDIR.TAG"),
    *("**/*.metadata", "**/*.lock", "**/*.incomplete"),
)

HARMLESS_FILES = {
    "*.md": "text for readers; the model card",
    **dict.fromkeys(("LICENSE", "LICENSE.txt", "NOTICE", "NOTICE.txt"), "text for readers"),
    **dict.fromkeys(("*.png", "*.jpg", "*.jpeg", "*.gif", "*.webp"), "an image"),
    **dict.fromkeys((".gitattributes", ".gitignore"), GIT),
    **{f".git/{name}": GIT for name in _GIT_FILES},
    **{f".git/{name}": _CHECKED for name in _GIT_PROGRAMS},
    **{f".cache/huggingface/{name}": _DOWNLOAD for name in _DOWNLOAD_FILES},
    MANIFEST: "checked on its own, below",
    SIGNATURE: "the signature of all files, verified where the spec asks for it (signed_by)",
    "trainer_state.json": "log of a training",
    **{f"{part}_results.json": "scores of a training" for part in ("all", "train", "eval")},
    "events.out.tfevents.[0-9]*[0-9]": "log of a training, for TensorBoard",
}
"""Patterns of names, with the reason why a file of such a name is no finding.

A ``*`` matches any part of one name. A pattern without a folder matches names in any folder; a name
without ``*`` matches only the file at the top; ``**`` matches any number of folders.
"""

_PLACES = ("_name_or_path", "name_or_path", "_commit_hash", "is_local", "local_files_only")

HARMLESS_KEYS = {
    "transformers_version": "who wrote the file",
    **dict.fromkeys(_PLACES, "where the files were"),
    **dict.fromkeys(
        ("_from_model_config", "_attn_implementation_autoset"), "how the file came about"
    ),
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
