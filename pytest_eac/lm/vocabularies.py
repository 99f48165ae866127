"""Two tokenizers held against each other: as they load, and as each of their files says."""

from __future__ import annotations

import inspect
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.bounds import require_bounded
from pytest_eac.lm.checkpoint import read_json, read_text
from pytest_eac.lm.contrast import contrast, described, differences, keys_dropped
from pytest_eac.lm.find import quiet
from pytest_eac.lm.folder import TEMPLATES, same_bytes
from pytest_eac.lm.foreign import refusing
from pytest_eac.lm.known import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_FAST = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
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
    for name in sorted(was.keys() | now.keys()):
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
    own = read_json(base / _SETTINGS) if (base / _SETTINGS).is_file() else {}
    into = {**_defaults(loaded), **_loaded(loaded)}
    into["additional_special_tokens"] = into.get("extra_special_tokens")
    into["chat_template"] = loaded.chat_template
    added = {str(key): _flags(token) for key, token in loaded.added_tokens_decoder.items()}
    kind = into["tokenizer_class"]
    kinds = {kind, f"{kind}Fast", *(_PLAIN if kind in _PLAIN else ())}
    for name in sorted(counted(found)):
        value = found[name]
        if value in (None, {}, []) or value == own.get(name) or _text(value) == into.get(name):
            continue
        if name == "tokenizer_class" and isinstance(value, str) and value in kinds:
            continue
        if name == "chat_template" and _named_templates(value) == _templates(loaded):
            continue
        if name == "added_tokens_decoder" and isinstance(value, dict):
            other = sorted(key for key in value if _flags(value[key]) != added.get(key))
            yield from (described(f"{name}.{key}", added.get(key), value[key]) for key in other)
            continue
        yield described(name, own.get(name), value)


def _named_templates(value: Any) -> Any:
    """Return chat templates by name as a settings file writes them: one, or a list."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {str(each.get("name")): each.get("template") for each in value}
    return {_DEFAULT: value}


def _flags(token: Any) -> dict[str, Any]:
    names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    if isinstance(token, dict):
        return {name: token.get(name) for name in names}
    return {name: getattr(token, name, None) for name in names}


def _fast(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    """Compare the file alone: others read it without the settings that transformers adds."""
    written = read_json(edited / _FAST)
    now = _canonical(edited / _FAST)
    before = [one.backend_tokenizer.to_str()]
    if (base / _FAST).is_file():
        before.insert(0, _canonical(base / _FAST))
    if now not in before:
        yield from differences(json.loads(before[0]), json.loads(now), every_key=True)
    own = read_json(base / _FAST) if (base / _FAST).is_file() else {}
    yield from keys_dropped(written, json.loads(now), own)


def _canonical(path: Path) -> str:
    try:
        return str(Tokenizer.from_str(read_text(path)).to_str())
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(f"{path}: cannot be read: {error}") from None


def _special(base: Path, edited: Path, one: Any, _: Any) -> Iterator[str]:
    name = "special_tokens_map.json"
    own = read_json(base / name) if (base / name).is_file() else {}
    loaded = _loaded(one)
    loaded[_EXTRA[1]] = loaded.get(_EXTRA[0])
    for key, value in sorted(read_json(edited / name).items()):
        if value not in (None, []) and value != own.get(key) and _text(value) != loaded.get(key):
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
    other = sorted(token for token in found if found[token] != known.get(token))
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
    own = read_json(base / name) if (base / name).is_file() else {}
    for key, value in sorted(read_json(edited / name).items()):
        known = key == "chat_template" and _named_templates(value) == _templates(one)
        if not known and value != own.get(key):
            yield described(key, own.get(key, one.chat_template), value)


_FILES: dict[str, Callable[..., Iterator[str]]] = {
    _SETTINGS: _settings,
    _FAST: _fast,
    "special_tokens_map.json": _special,
    "added_tokens.json": _added,
    "vocab.json": _vocabulary,
    "merges.txt": _merges,
    "chat_template.json": _template,
}
