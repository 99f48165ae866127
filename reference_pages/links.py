"""Hooks of MkDocs: where a page's text mentions another page, the site has a link.

Texts name pages as ``docs/metrics.md``, so that they read well in a terminal, too; a mention of a
page that is not there fails the strict build like any broken link.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

_ROLE = re.compile(r":(?:class|data|func|meth|mod):(?=<code>)")
_MENTION = re.compile(r"(?<![\w/\[(`])docs/([\w/.-]+\.md)")


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Return a page's text with links for mentions, outside blocks of code."""
    here = posixpath.dirname(page.file.src_uri)
    lines, fenced = [], False
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        plain = not fenced and not line.startswith("    ")
        lines.append(_MENTION.sub(lambda found: _link(found, here), line) if plain else line)
    return "\n".join(lines)


def _link(found: re.Match[str], here: str) -> str:
    return f"[{found[0]}]({posixpath.relpath(found[1], here or '.')})"


def on_page_content(html: str, **_: Any) -> str:
    """Return a page with the roles of docstrings (``:class:`Edit```) shown as code alone."""
    return _ROLE.sub("", html)
