"""The settings and hooks of a git clone: git runs programs that they name.

Git takes neither over from the repository that is cloned, but a folder may come with both by
another way, and then any git command in it may run them.
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.untrusted_files import read_text

_CONFIG = ".git/config"
_HOOKS = ".git/hooks/*"
# What git and git-lfs write into the settings of a clone.
_SETTINGS = {
    "core": "repositoryformatversion filemode bare logallrefupdates ignorecase precomposeunicode "
    "symlinks",
    "remote": "url fetch promisor partialclonefilter",
    "branch": "remote merge rebase",
    "lfs": "repositoryformatversion access locksverify",
    "user": "name email",
}
_SECTION = re.compile(r'\[(\w+)(?: "[^"\\]*")?\]\s*')
_SETTING = re.compile(r"\s*(\w+)\s*=(.*)")
_REMARK = re.compile(r"\s*([#;].*)?")
# The hooks of git-lfs; the texts between quotation marks are in the language of the user.
_TEXT = r'"(?:[^"`$\\\n]|\\n)*"'
_LFS = re.compile(
    r"#!/bin/sh\n"
    rf"command -v git-lfs >/dev/null 2>&1 \|\| \{{ (?:echo|printf) >&2(?: {_TEXT}){{1,2}}; "
    r"exit 2; \}\n"
    r'git lfs (post-checkout|post-commit|post-merge|pre-push) "\$@"\n?'
)


def reason_against_clone(folder: Path, name: str) -> str | None:
    """Return why a file of a clone is reported: git may run a program by it that is not git's own.

    Args:
        folder: the model's folder.
        name: the file's path in it; ``None`` is returned for one that git does not go by.
    """
    if (name != _CONFIG and not fnmatchcase(name, _HOOKS)) or name.endswith(".sample"):
        return None
    try:
        text = read_text(folder / name)
    except ModelError as error:
        return str(error).removeprefix(f"{folder / name}: ")
    if name == _CONFIG:
        line = _other_setting(text)
        fault = f"has a setting in line {line} by which git may run a program; remove it"
        return fault if line else None
    known = _LFS.fullmatch(text)
    if known and known[1] == name.rpartition("/")[2]:
        return None
    return "is a program, which git runs in this folder; it was not run: remove it"


def _other_setting(text: str) -> int | None:
    """Return the first line, counted from 1, that is no setting as git writes it into a clone."""
    section = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if _REMARK.fullmatch(line):
            continue
        if head := _SECTION.fullmatch(line):
            section = head[1].lower()
            continue
        setting = _SETTING.fullmatch(line)
        known = setting and setting[1].lower() in _SETTINGS.get(section, "").split()
        # A setting goes on after a backslash; an address with :: names a program to fetch with.
        if not setting or not known or line.endswith("\\") or "::" in setting[2]:
            return number
    return None
