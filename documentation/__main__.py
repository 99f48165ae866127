"""Write the reference pages into docs/reference: ``python -m documentation``."""

from __future__ import annotations

from documentation.pages import REFERENCE, pages

REFERENCE.mkdir(exist_ok=True)
for name, text in pages().items():
    (REFERENCE / name).write_text(text, encoding="utf-8")
