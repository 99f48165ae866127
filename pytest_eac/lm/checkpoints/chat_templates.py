"""The chat templates of two tokenizers compared: as they load, and as each of their files says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_eac.lm.checkpoints.contrast import contrast, described
from pytest_eac.lm.checkpoints.tokenizer_pair import SETTINGS, TokenizerPair
from pytest_eac.lm.loading.model_folder import TEMPLATES
from pytest_eac.lm.loading.untrusted_files import read_json, read_json_if_there, read_text

OLD_FILE = "chat_template.json"
_FILE = "chat_template.jinja"
_DEFAULT = "default"  # the name of the template that is used where none is asked for


def templates_of(tokenizer: Any) -> dict[str, str]:
    """Return a tokenizer's chat templates by name; one without a name is the default."""
    found = tokenizer.chat_template
    return found if isinstance(found, dict) else {} if found is None else {_DEFAULT: found}


def named_templates(value: Any) -> Any:
    """Return chat templates by name as a settings file writes them: one, or a list.

    ``None`` if a name comes twice, or one says more than its name and template.
    """
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        named = {str(each.get("name")): each.get("template") for each in value}
        plain = all(each.keys() == {"name", "template"} for each in value)
        return named if plain and len(named) == len(value) else None
    return {_DEFAULT: value}


def compare_loaded(pair: TokenizerPair) -> Iterator[str]:
    """Yield a line for each template that differs, the file first."""
    was, now = templates_of(pair.was), templates_of(pair.now)
    for name in sorted(was.keys() | now.keys(), key=str):
        if was.get(name) != now.get(name):
            file = _file_of(name, pair.edited if name in now else pair.base)
            yield f"{file}: chat_template {contrast(was.get(name), now.get(name))}"


def _file_of(name: str, folder: Path) -> str:
    """Return the file that a chat template comes from."""
    own = f"{TEMPLATES}/{name}.jinja"
    if name == _DEFAULT and not (folder / own).is_file():
        own = _FILE
    return own if (folder / own).is_file() else SETTINGS


def template_files(folder: Path) -> list[str]:
    """Return the files of a folder that hold one template each, by their paths in it."""
    files = [folder / _FILE, *sorted((folder / TEMPLATES).glob("*.jinja"))]
    return [file.relative_to(folder).as_posix() for file in files]


def compare_file(pair: TokenizerPair, name: str) -> Iterator[str]:
    """Compare the file of a template: loading may overrule it, while other readers go by it."""
    path = pair.edited / name
    was = templates_of(pair.was).get(_DEFAULT if name == _FILE else path.stem)
    # With the line ends that Python gives a text when it reads one.
    now = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if now != was:
        yield f"chat_template {contrast(was, now)}"


def compare_old_file(pair: TokenizerPair) -> Iterator[str]:
    """Compare the templates of the older file, which a newer one may overrule."""
    own = read_json_if_there(pair.base / OLD_FILE)
    for key, value in sorted(read_json(pair.edited / OLD_FILE).items()):
        known = key == "chat_template" and named_templates(value) == templates_of(pair.was)
        if not known and value != own.get(key):
            yield described(key, own.get(key, pair.was.chat_template), value)
