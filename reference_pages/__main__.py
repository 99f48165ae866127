"""Write the reference pages into docs/reference: ``python -m reference_pages``."""

from __future__ import annotations

from reference_pages.pages import REFERENCE, pages

REFERENCE.mkdir(exist_ok=True)
for name, text in pages().items():
    (REFERENCE / name).write_text(text, encoding="utf-8")
