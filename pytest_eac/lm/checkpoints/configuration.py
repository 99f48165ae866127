"""What a checkpoint has beside its weights: configuration and tokenizer, key by key.

Both are compared as transformers loads them, so that a default which one side writes out and the
other leaves out is no difference. What a file says and loading drops is compared as it is written:
another program, or another version of transformers, may go by it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.allowed_files import counted
from pytest_eac.lm.checkpoints.chat_templates import compare_file, compare_loaded, template_files
from pytest_eac.lm.checkpoints.contrast import alike, described, differences, reported
from pytest_eac.lm.checkpoints.tokenizer_files import COMPARISONS, FAST, settings_of
from pytest_eac.lm.checkpoints.tokenizer_pair import SETTINGS, TokenizerPair, load_tokenizer
from pytest_eac.lm.library_calls import quiet, refusing
from pytest_eac.lm.loading.config_limits import require_companions
from pytest_eac.lm.loading.model_folder import CONFIG
from pytest_eac.lm.loading.untrusted_files import read_json, read_json_if_there, same_bytes
from pytest_eac.lm.transformers_private import (
    generation_defaults,
    generation_from_config,
    unwritten_settings,
)

_GENERATION = "generation_config.json"
# Older names of keys that transformers loads under others.
_RENAMED = {"torch_dtype": ("dtype",), "rope_theta": ("rope_parameters", "rope_theta")}


def compare_companions(base: Path, edited: Path, as_written: Sequence[str] = ()) -> list[str]:
    """Return what differs between two checkpoints' other files, a line each, the file first.

    No code of a checkpoint is run.

    Args:
        base: the base's folder.
        edited: the release's folder.
        as_written: other JSON files that both have, to be compared as they are written.

    Raises:
        ModelError: the base's own cannot be read.
    """
    require_companions(base)
    try:
        require_companions(edited)
    except ModelError as error:
        return [str(error).removeprefix(f"{edited}/")]
    found = [
        *_compare_loaded(base, edited, CONFIG, _config),
        *_compare_loaded(base, edited, _GENERATION, _generation),
        *compare_tokenizers(base, edited),
    ]
    for name in as_written:
        found += reported(edited, name, partial(_compare_written, base / name, edited / name))
    return found


def _compare_loaded(
    base: Path, edited: Path, name: str, read: Callable[[Path], dict[str, Any]]
) -> list[str]:
    own = same_bytes(base / name, edited / name)
    was = read(base)
    was_written = {} if own else read_json_if_there(base / name)

    def compare() -> list[str]:
        written = {} if own else read_json_if_there(edited / name)
        now = read(edited)
        return [*differences(was, now), *_dropped(written, now, was_written)]

    return reported(edited, name, compare)


def _compare_written(base: Path, edited: Path) -> Iterator[str]:
    every_key = not edited.name.endswith("config.json")
    return differences(read_json(base), read_json(edited), every_key=every_key)


def compare_tokenizers(base: Path, edited: Path) -> list[str]:
    """Return what differs between two checkpoints' tokenizers, a line each, the file first.

    Raises:
        ModelError: the base's cannot be read.
    """
    one = load_tokenizer(base)
    try:
        two = load_tokenizer(edited)
    except ModelError as error:
        named = str(error).removeprefix(f"{edited}/")
        return [f"{FAST}: {error}" if named == str(error) else named]
    pair = TokenizerPair(base=base, edited=edited, was=one, now=two)
    texts = [each.backend_tokenizer.to_str() for each in (one, two)]
    was, now = map(json.loads, texts) if len(set(texts)) > 1 else ({}, {})
    found = [
        *(f"{FAST}: {line}" for line in differences(was, now, every_key=True)),
        *(f"{SETTINGS}: {line}" for line in differences(settings_of(one), settings_of(two))),
        *compare_loaded(pair),
    ]
    files = {name: partial(compare_file, pair, name) for name in template_files(edited)}
    # What is wrong as it loads need not be repeated as it is written.
    for name, compare in {**{n: partial(c, pair) for n, c in COMPARISONS.items()}, **files}.items():
        if same_bytes(base / name, edited / name):
            continue
        if (edited / name).is_file() and not any(line.startswith(f"{name}: ") for line in found):
            found += reported(edited, name, compare)
    return found


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    with refusing(f"{path}: cannot be used"), quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kept = unwritten_settings(config)
    # Some architectures know a value under a general name, too (gpt2: hidden_size for n_embd).
    kept |= {name: getattr(config, name, None) for name in config.attribute_map}
    return _plain({**kept, **config.to_dict()})


def _generation(folder: Path) -> dict[str, Any]:
    """Return what a model generates by: its own file, or else what its configuration says."""
    path = folder / _GENERATION
    with refusing(f"{path}: cannot be used"), quiet():
        if path.is_file():
            found = GenerationConfig.from_pretrained(folder)
        else:
            found = generation_from_config(folder, CONFIG)
    given = {name: value for name, value in found.to_dict().items() if value is not None}
    return _plain({**generation_defaults(), **given})


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a loaded object would be in JSON."""
    found: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return found


def _dropped(
    written: Mapping[str, Any],
    loaded: Mapping[str, Any],
    base: Mapping[str, Any],
    prefix: str = "",
    *,
    every_key: bool = False,
) -> Iterator[str]:
    """Yield a line for each key that a file has, and neither the loaded object nor the base's file.

    What was loaded is compared as such; a key of a file whose value is not in it has been dropped
    or replaced.
    """
    for name in sorted(written if every_key else counted(written)):
        value = written[name]
        known = (base.get(name), _read_as(name, loaded))
        if value in (None, {}, []) or any(alike(value, each, name) for each in known):
            continue
        into, was = loaded.get(name), base.get(name)
        if isinstance(value, dict) and isinstance(into, dict) and len(prefix) < 80:
            was = was if isinstance(was, dict) else {}
            all_count = every_key or "model_type" not in into
            yield from _dropped(value, into, was, f"{prefix}{name}.", every_key=all_count)
        else:
            yield described(f"{prefix}{name}", was, value)


def _read_as(name: str, loaded: Mapping[str, Any]) -> Any:
    found: Any = loaded
    for each in _RENAMED.get(name, (name,)):
        found = found.get(each) if isinstance(found, dict) else None
    return found
