"""Each file of a release's tokenizer held against the base's, and against what was loaded.

A key that transformers drops, or overrules by another file, may still be read by another program.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.allowed_files import counted
from pytest_eac.lm.checkpoints.chat_templates import (
    OLD_FILE,
    compare_old_file,
    named_templates,
    templates_of,
)
from pytest_eac.lm.checkpoints.contrast import (
    alike,
    described,
    differences,
    first_difference,
    keys_dropped,
)
from pytest_eac.lm.checkpoints.tokenizer_pair import SETTINGS, TokenizerPair
from pytest_eac.lm.loading.untrusted_files import read_json, read_json_if_there, read_text

FAST = "tokenizer.json"
_SPECIAL = "special_tokens_map.json"
# Attributes of a loaded tokenizer that are compared elsewhere, or do not affect what it does.
_APART = {
    *("tokenizer", "chat_template", "special_tokens_map", "init_kwargs", "init_inputs"),
    *("vocab", "merges", "vocab_file", "merges_file", "name_or_path", "files_loaded", "verbose"),
    "deprecation_warnings",
    *("in_target_context_manager", "should_update_post_processor", "added_tokens_decoder"),
}
_EXTRA = ("extra_special_tokens", "additional_special_tokens")  # its name now, and before
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_KIND = "AddedToken"
_PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")  # its name before, and now


def settings_of(tokenizer: Any) -> dict[str, Any]:
    """Return the settings of a loaded tokenizer except its vocabulary, all defaults filled in."""
    settings = {name.removeprefix("_"): value for name, value in vars(tokenizer).items()}
    settings |= settings.get("special_tokens_map", {})
    settings["tokenizer_class"] = type(tokenizer).__name__
    return {name: _text(value) for name, value in settings.items() if name not in _APART}


def _defaults(tokenizer: Any) -> dict[str, Any]:
    """Return the defaults of a tokenizer's class."""
    kinds: list[Any] = [*reversed(type(tokenizer).__mro__[:-1])]
    return {
        name: parameter.default
        for kind in kinds
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if parameter.default is not parameter.empty
    }


def _text(value: Any) -> Any:
    """Return a token as its text, also in lists; its flags are compared with the vocabulary."""
    if isinstance(value, dict) and "content" in value:
        return value["content"]
    if isinstance(value, list | tuple):
        return [_text(each) for each in value]
    if isinstance(value, AddedToken):
        return value.content
    plain = isinstance(value, str | int | float | dict | None)
    return value if plain else type(value).__name__


def _settings(pair: TokenizerPair) -> Iterator[str]:
    """Compare the keys that loading has dropped, or that other files have overruled."""
    loaded = pair.now
    into = {**_defaults(loaded), **settings_of(loaded), "chat_template": loaded.chat_template}
    added = {str(key): _flags(token) for key, token in loaded.added_tokens_decoder.items()}
    kind = into["tokenizer_class"]
    kinds = {kind, f"{kind}Fast", *(_PLAIN if kind in _PLAIN else ())}
    found = counted(read_json(pair.edited / SETTINGS))
    for name, own, value in _unexplained(pair, SETTINGS, loaded, into):
        if name not in found or value == {}:
            continue
        if name == "tokenizer_class" and isinstance(value, str) and value in kinds:
            continue
        if name == "chat_template" and named_templates(value) == templates_of(loaded):
            continue
        if name == "added_tokens_decoder" and isinstance(value, dict):
            other = sorted(key for key in value if not _is_token(value[key], added.get(key)))
            yield from (described(f"{name}.{key}", added.get(key), value[key]) for key in other)
            continue
        yield described(name, own, value)


def _special(pair: TokenizerPair) -> Iterator[str]:
    into = settings_of(pair.was)
    for name, own, value in _unexplained(pair, _SPECIAL, pair.was, into):
        yield described(name, into.get(name) if own is None else own, value)


def _unexplained(
    pair: TokenizerPair, file: str, loaded: Any, into: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield keys of a release's file with the values of both files, unless these are alike.

    Left out are also keys that have the value which was loaded (``into``).
    """
    into[_EXTRA[1]] = into.get(_EXTRA[0])
    own = read_json_if_there(pair.base / file)
    tokens = _Tokens(pair.base, loaded)
    for name, value in sorted(read_json(pair.edited / file).items()):
        if value in (None, []) or alike(value, own.get(name), name):
            continue
        if not tokens.say(name, value, into.get(name)):
            yield name, own.get(name), value


def _flags(token: AddedToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in ("content", *_FLAGS)}


def _is_token(value: Any, flags: Mapping[str, Any] | None) -> bool:
    """Return whether a file describes a token exactly as the vocabulary has it."""
    if not isinstance(value, dict) or flags is None:
        return False
    # Where these two are not written, readers take them from the vocabulary; the others are off.
    left_out = {name: flags[name] for name in ("normalized", "special")}
    off = dict.fromkeys(_FLAGS, False)
    return alike({"__type": _KIND, **off, **left_out, **value}, {"__type": _KIND, **flags})


class _Tokens:
    """The tokens of a vocabulary with their flags, and how the base's files describe them."""

    def __init__(self, base: Path, loaded: Any) -> None:
        added = map(_flags, loaded.added_tokens_decoder.values())
        self._added = {str(flags["content"]): flags for flags in added}
        self._base = [read_json_if_there(base / name) for name in (SETTINGS, _SPECIAL)]

    def say(self, name: str, value: Any, loaded: Any) -> bool:
        """Return whether a file's value is what was loaded.

        A token that the file describes has the flags that the vocabulary gives it, or those of the
        base's files.
        """
        if any(alike(_bare(value), _bare(each.get(name)), name) for each in self._base):
            return bool(_text(value) == loaded)
        if isinstance(value, list) and isinstance(loaded, list):
            pairs = zip(value, loaded, strict=False)
            return len(value) == len(loaded) and all(self.say("", *pair) for pair in pairs)
        if isinstance(value, dict) and "content" in value:
            text = value["content"]
            return bool(text == loaded) and _is_token(value, self._added.get(str(text)))
        return alike(value, loaded, name)


def _bare(value: Any) -> Any:
    """Return a token, or each of a list, without the mark that it is one."""
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if isinstance(value, dict) and value.get("__type") == _KIND:
        return {name: each for name, each in value.items() if name != "__type"}
    return value


def _fast(pair: TokenizerPair) -> Iterator[str]:
    """Compare the file alone: others read it without the settings that transformers adds."""
    written = read_json(pair.edited / FAST)
    now = _canonical(pair.edited / FAST)
    before = [pair.was.backend_tokenizer.to_str()]
    if (pair.base / FAST).is_file():
        before.insert(0, _canonical(pair.base / FAST))
    if now not in before:
        yield from differences(json.loads(before[0]), json.loads(now), every_key=True)
    yield from keys_dropped(written, json.loads(now), read_json_if_there(pair.base / FAST))


def _canonical(path: Path) -> str:
    try:
        return str(Tokenizer.from_str(read_text(path)).to_str())
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"{path}: cannot be read: {error}") from None


def _added(pair: TokenizerPair) -> Iterator[str]:
    yield from _other_ids(read_json(pair.edited / "added_tokens.json"), pair.was.get_vocab())


def _vocabulary(pair: TokenizerPair) -> Iterator[str]:
    base, found = pair.base / "vocab.json", read_json(pair.edited / "vocab.json")
    if base.is_file() and read_json(base) == found:
        return
    known = _model(pair.was).get("vocab")
    missing = dict.fromkeys(known.keys() - found.keys()) if isinstance(known, dict) else {}
    yield from _other_ids({**found, **missing}, pair.was.get_vocab())


def _other_ids(found: Mapping[str, Any], known: Mapping[str, int]) -> Iterator[str]:
    other = sorted(token for token in found if not alike(found[token], known.get(token), "_id"))
    yield from (described(each, known.get(each), found[each]) for each in other[:1])
    if len(other) > 1:
        yield f"{len(other) - 1} more tokens do not have the base's ids"


def _model(tokenizer: Any) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    return model


def _merges(pair: TokenizerPair) -> Iterator[str]:
    base, lines = pair.base / "merges.txt", _lines(pair.edited / "merges.txt")
    if base.is_file() and _lines(base) == lines:
        return
    merges = _model(pair.was).get("merges", ())
    known = [each if isinstance(each, str) else " ".join(each) for each in merges]
    if lines != known:
        at = first_difference(lines, known)
        yield f"differs from the base's merges, first in merge {at + 1}"


def _lines(path: Path) -> list[str]:
    lines = read_text(path).split("\n")
    return [line for line in lines if line and not line.startswith("#version")]


COMPARISONS: dict[str, Callable[[TokenizerPair], Iterator[str]]] = {
    SETTINGS: _settings,
    FAST: _fast,
    _SPECIAL: _special,
    "added_tokens.json": _added,
    "vocab.json": _vocabulary,
    "merges.txt": _merges,
    OLD_FILE: compare_old_file,
}
"""What compares a file of the release, by the file's name."""
