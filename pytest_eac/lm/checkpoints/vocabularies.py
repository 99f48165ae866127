"""Two tokenizers held against each other: as they load, and as each of their files says."""

from __future__ import annotations

import inspect
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.allowed_files import counted
from pytest_eac.lm.checkpoints.contrast import alike, contrast, described, differences, keys_dropped
from pytest_eac.lm.library_errors import refusing
from pytest_eac.lm.loading.find import quiet
from pytest_eac.lm.loading.model_folder import TEMPLATES, same_bytes
from pytest_eac.lm.loading.tensors import read_json, read_text
from pytest_eac.lm.loading.tokenizer_limits import require_bounded, require_bounded_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_FAST = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
_SPECIAL = "special_tokens_map.json"
# Of a loaded tokenizer, what is compared in other ways or says nothing of what it does.
_APART = {
    *("tokenizer", "chat_template", "special_tokens_map", "init_kwargs", "init_inputs"),
    *("vocab", "merges", "vocab_file", "merges_file", "name_or_path", "files_loaded", "verbose"),
    "deprecation_warnings",
    *("in_target_context_manager", "should_update_post_processor", "added_tokens_decoder"),
}
_EXTRA = ("extra_special_tokens", "additional_special_tokens")  # its name now, and before
_TEMPLATE = "chat_template.jinja"
_DEFAULT = "default"  # the name of the template that is used where none is asked for
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_KIND = "AddedToken"
_PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")  # likewise


def compare_tokenizers(base: Path, edited: Path) -> list[str]:
    """Return what differs between two checkpoints' tokenizers, a line each, the file first.

    Raises:
        ModelError: the base's cannot be read.
    """
    one = _load_tokenizer(base)
    try:
        two = _load_tokenizer(edited)
    except ModelError as error:
        named = str(error).removeprefix(f"{edited}/")
        return [f"{_FAST}: {error}" if named == str(error) else named]
    texts = [each.backend_tokenizer.to_str() for each in (one, two)]
    was, now = map(json.loads, texts) if len(set(texts)) > 1 else ({}, {})
    found = [
        *(f"{_FAST}: {line}" for line in differences(was, now, every_key=True)),
        *(f"{_SETTINGS}: {line}" for line in differences(_loaded(one), _loaded(two))),
        *_compare_templates((base, _templates(one)), (edited, _templates(two))),
    ]
    # What is wrong as it loads need not be repeated as it is written.
    for name, compare in [*_FILES.items(), *_template_files(edited)]:
        if same_bytes(base / name, edited / name):
            continue
        if (edited / name).is_file() and not any(line.startswith(f"{name}: ") for line in found):
            try:
                found += [f"{name}: {line}" for line in compare(base, edited, one, two)]
            except ModelError as error:
                found.append(f"{name}: {str(error).removeprefix(f'{edited / name}: ')}")
    return found


def _load_tokenizer(folder: Path) -> Any:
    require_bounded(folder)
    with refusing("no usable tokenizer"), quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer.backend_tokenizer.to_str()
    require_bounded_texts(folder, tokenizer)
    return tokenizer


def _loaded(tokenizer: Any) -> dict[str, Any]:
    """Return what a loaded tokenizer goes by beside its vocabulary, all defaults filled in."""
    settings = {name.removeprefix("_"): value for name, value in vars(tokenizer).items()}
    settings |= settings.get("special_tokens_map", {})
    settings["tokenizer_class"] = type(tokenizer).__name__
    return {name: _text(value) for name, value in settings.items() if name not in _APART}


def _defaults(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer's class assumes of what no file says."""
    kinds: list[Any] = [*reversed(type(tokenizer).__mro__[:-1])]
    return {
        name: parameter.default
        for kind in kinds
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if parameter.default is not parameter.empty
    }


def _text(value: Any) -> Any:
    """Return a token as its text, inside lists too; what else it is, the vocabulary says."""
    if isinstance(value, dict) and "content" in value:
        return value["content"]
    if isinstance(value, list | tuple):
        return [_text(each) for each in value]
    if isinstance(value, AddedToken):
        return value.content
    plain = isinstance(value, str | int | float | dict | None)
    return value if plain else type(value).__name__


def _templates(tokenizer: Any) -> dict[str, str]:
    """Return a tokenizer's chat templates by name; one without a name is the default."""
    found = tokenizer.chat_template
    return found if isinstance(found, dict) else {} if found is None else {_DEFAULT: found}


def _compare_templates(
    base: tuple[Path, dict[str, str]], edited: tuple[Path, dict[str, str]]
) -> Iterator[str]:
    (was_in, was), (is_in, now) = base, edited
    for name in sorted(was.keys() | now.keys(), key=str):
        if was.get(name) != now.get(name):
            file = _template_file(name, is_in if name in now else was_in)
            yield f"{file}: chat_template {contrast(was.get(name), now.get(name))}"


def _template_file(name: str, folder: Path) -> str:
    """Return the file that a chat template comes from."""
    own = f"{TEMPLATES}/{name}.jinja"
    if name == _DEFAULT and not (folder / own).is_file():
        own = _TEMPLATE
    return own if (folder / own).is_file() else _SETTINGS


def _template_files(folder: Path) -> list[tuple[str, Callable[..., Iterator[str]]]]:
    files = [folder / _TEMPLATE, *sorted((folder / TEMPLATES).glob("*.jinja"))]
    return [
        (name, partial(_jinja, name)) for name in (f.relative_to(folder).as_posix() for f in files)
    ]


def _jinja(name: str, _: Path, edited: Path, one: Any, __: Any) -> Iterator[str]:
    """Compare a template's file: one may be overruled as it loads, and be what others read."""
    path = edited / name
    was = _templates(one).get(_DEFAULT if name == _TEMPLATE else path.stem)
    if (now := _lines_joined(path)) != was:
        yield f"chat_template {contrast(was, now)}"


def _lines_joined(path: Path) -> str:
    """Return a text with the ends of lines that Python gives it when it is read as one."""
    return read_text(path).replace("\r\n", "\n").replace("\r", "\n")


def _settings(base: Path, edited: Path, _: Any, loaded: Any) -> Iterator[str]:
    """Compare the keys that loading has dropped, or that other files have overruled."""
    found = read_json(edited / _SETTINGS)
    own = _written(base, _SETTINGS)
    into = {**_defaults(loaded), **_loaded(loaded)}
    into[_EXTRA[1]] = into.get(_EXTRA[0])
    into["chat_template"] = loaded.chat_template
    added = {str(key): _flags(token) for key, token in loaded.added_tokens_decoder.items()}
    kind = into["tokenizer_class"]
    kinds = {kind, f"{kind}Fast", *(_PLAIN if kind in _PLAIN else ())}
    tokens = _Tokens(base, loaded)
    for name in sorted(counted(found)):
        value = found[name]
        if value in (None, {}, []) or alike(value, own.get(name), name):
            continue
        if tokens.say(name, value, into.get(name)):
            continue
        if name == "tokenizer_class" and isinstance(value, str) and value in kinds:
            continue
        if name == "chat_template" and _named_templates(value) == _templates(loaded):
            continue
        if name == "added_tokens_decoder" and isinstance(value, dict):
            other = sorted(key for key in value if not _is_token(value[key], added.get(key)))
            yield from (described(f"{name}.{key}", added.get(key), value[key]) for key in other)
            continue
        yield described(name, own.get(name), value)


def _written(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / name) if (folder / name).is_file() else {}


def _named_templates(value: Any) -> Any:
    """Return chat templates by name as a settings file writes them: one, or a list.

    ``None`` if a name comes twice, or one says more than its name and template.
    """
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        named = {str(each.get("name")): each.get("template") for each in value}
        plain = all(each.keys() == {"name", "template"} for each in value)
        return named if plain and len(named) == len(value) else None
    return {_DEFAULT: value}


def _flags(token: AddedToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in ("content", *_FLAGS)}


def _is_token(value: Any, flags: Mapping[str, Any] | None) -> bool:
    """Return whether a token as a file describes it is one of the vocabulary's, and no more."""
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
        self._base = [_written(base, name) for name in (_SETTINGS, _SPECIAL)]

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
    """Return a token, or each of a list, without what only says that it is one."""
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if isinstance(value, dict) and value.get("__type") == _KIND:
        return {name: each for name, each in value.items() if name != "__type"}
    return value


def _fast(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    """Compare the file alone: others read it without the settings that transformers adds."""
    written = read_json(edited / _FAST)
    now = _canonical(edited / _FAST)
    before = [one.backend_tokenizer.to_str()]
    if (base / _FAST).is_file():
        before.insert(0, _canonical(base / _FAST))
    if now not in before:
        yield from differences(json.loads(before[0]), json.loads(now), every_key=True)
    own = _written(base, _FAST)
    yield from keys_dropped(written, json.loads(now), own)


def _canonical(path: Path) -> str:
    try:
        return str(Tokenizer.from_str(read_text(path)).to_str())
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"{path}: cannot be read: {error}") from None


def _special(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    own = _written(base, _SPECIAL)
    loaded = _loaded(one)
    loaded[_EXTRA[1]] = loaded.get(_EXTRA[0])
    tokens = _Tokens(base, one)
    for key, value in sorted(read_json(edited / _SPECIAL).items()):
        if value in (None, []) or alike(value, own.get(key), key):
            continue
        if not tokens.say(key, value, loaded.get(key)):
            yield described(key, own.get(key, loaded.get(key)), value)


def _added(_: Path, edited: Path, one: Any, __: Any) -> Iterator[str]:
    yield from _other_ids(read_json(edited / "added_tokens.json"), one.get_vocab())


def _vocabulary(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    name = "vocab.json"
    found = read_json(edited / name)
    if (base / name).is_file() and read_json(base / name) == found:
        return
    known = _model(one).get("vocab")
    missing = dict.fromkeys(known.keys() - found.keys()) if isinstance(known, dict) else {}
    yield from _other_ids({**found, **missing}, one.get_vocab())


def _other_ids(found: Mapping[str, Any], known: Mapping[str, int]) -> Iterator[str]:
    other = sorted(token for token in found if not alike(found[token], known.get(token), "_id"))
    yield from (described(each, known.get(each), found[each]) for each in other[:1])
    if len(other) > 1:
        yield f"{len(other) - 1} more tokens do not have the base's ids"


def _model(tokenizer: Any) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    return model


def _merges(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    name = "merges.txt"
    lines = _lines(edited / name)
    if (base / name).is_file() and _lines(base / name) == lines:
        return
    merges = _model(one).get("merges", ())
    known = [each if isinstance(each, str) else " ".join(each) for each in merges]
    if lines != known:
        pairs = enumerate(zip(lines, known, strict=False))
        at = next((n for n, pair in pairs if pair[0] != pair[1]), min(len(lines), len(known)))
        yield f"differs from the base's merges, first in merge {at + 1}"


def _lines(path: Path) -> list[str]:
    lines = read_text(path).split("\n")
    return [line for line in lines if line and not line.startswith("#version")]


def _template(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    """Compare templates in the older form, which a newer file may overrule."""
    name = "chat_template.json"
    own = _written(base, name)
    for key, value in sorted(read_json(edited / name).items()):
        known = key == "chat_template" and _named_templates(value) == _templates(one)
        if not known and value != own.get(key):
            yield described(key, own.get(key, one.chat_template), value)


_FILES: dict[str, Callable[..., Iterator[str]]] = {
    _SETTINGS: _settings,
    _FAST: _fast,
    _SPECIAL: _special,
    "added_tokens.json": _added,
    "vocab.json": _vocabulary,
    "merges.txt": _merges,
    "chat_template.json": _template,
}
