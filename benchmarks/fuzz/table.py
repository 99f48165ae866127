"""All kinds of inputs. A new kind is an entry of its family's ``KINDS``; a family, a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.fuzz import data, exports, gguf, kept, models, records, specs

if TYPE_CHECKING:
    from benchmarks.fuzz.kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for family in (specs, data, records, exports, kept, models, gguf)
    for kind in family.KINDS
}
