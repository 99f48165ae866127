"""Rows of token ids as segments: what rows have in common is one segment, computed once.

Rows that begin alike form a tree: a few-shot header, behind it the prompts, behind each prompt its
candidate answers. This module only plans; ``lm/forward/packed.py`` runs the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Ids = tuple[int, ...]

# Fewer tokens in common than this are computed again: a segment of its own costs a part of a pass.
_LEAST = 6
# Header, prompt, candidate, and one to spare; each level holds its keys and values in memory.
_LEVELS = 4
# What a pass costs however little it computes (weights are read, modules are called), counted in
# tokens: about 35 ms against 0.8 ms a token for 135M parameters on two cores.
_PASS_TOKENS = 40
# A row that is continued keeps its new tokens in every layer: at most this many times a pass's.
_GROWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PassLimits:
    """What one pass may hold.

    Attributes:
        tokens: rows times tokens computed in each, padding included.
        reads: rows times positions whose logits are computed.
        slots: rows times all tokens that they attend to, computed before or now.
        more: tokens that every row will still grow by.
    """

    tokens: int
    reads: int
    slots: int
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Tokens that several rows have in common, or that one row has alone.

    Attributes:
        ids: the tokens.
        start: how many tokens stand before them in each of the rows.
        rows: the indices of the rows that pass through here; each has all of ``ids``.
        read: of how many tokens, counted from the last, some row reads the logits.
        after: the segments that follow, each for some of the rows; rows in none of them end here.
    """

    ids: Ids
    start: int
    rows: tuple[int, ...]
    read: int
    after: tuple[Segment, ...]

    @property
    def end(self) -> int:
        """The position behind the last token."""
        return self.start + len(self.ids)


def as_segments(rows: Sequence[Ids], firsts: Sequence[int]) -> list[Segment]:
    """Return rows as trees of segments; equal rows are one.

    Args:
        rows: token ids of each row, at least one.
        firsts: for each row, the position from which on its logits are read.
    """
    return _grow(rows, firsts, range(len(rows)), start=0, levels=_LEVELS)


def alone(rows: Sequence[Ids], firsts: Sequence[int]) -> list[Segment]:
    """Return every row as one segment; equal rows are one."""
    return _grow(rows, firsts, range(len(rows)), start=0, levels=1)


def _grow(
    rows: Sequence[Ids], firsts: Sequence[int], chosen: Iterable[int], *, start: int, levels: int
) -> list[Segment]:
    """Return the segments of the ``chosen`` rows from position ``start`` on.

    Rows whose next tokens are the same are a group; on the last level, rows that are all the same.
    """
    stop = start + _LEAST if levels > 1 else None
    groups: dict[Ids, list[int]] = {}
    for index in chosen:
        groups.setdefault(rows[index][start:stop], []).append(index)
    found = []
    for group in groups.values():
        ids = _common([rows[index][start:] for index in group])
        end = start + len(ids)
        longer = [index for index in group if len(rows[index]) > end]
        first = min(firsts[index] for index in group)
        found.append(
            Segment(
                ids=ids,
                start=start,
                rows=tuple(group),
                read=max(end - max(first, start), 0),
                after=tuple(_grow(rows, firsts, longer, start=end, levels=levels - 1)),
            )
        )
    return found


def _common(rows: Sequence[Ids]) -> Ids:
    """Return the tokens that all rows begin with."""
    low, high = min(rows), max(rows)  # what these two have in common, all between them have
    pairs = enumerate(zip(low, high, strict=False))
    return low[: next((index for index, (a, b) in pairs if a != b), len(low))]


def cut(segment: Segment, longest: int) -> Segment:
    """Return the same segment, and those behind it, as a chain of segments of bounded length."""
    after = tuple(cut(each, longest) for each in segment.after)
    if len(segment.ids) <= longest:
        return replace(segment, after=after)
    rest = replace(
        segment,
        ids=segment.ids[longest:],
        start=segment.start + longest,
        read=min(segment.read, len(segment.ids) - longest),
        after=after,
    )
    return replace(
        segment,
        ids=segment.ids[:longest],
        read=max(segment.read - len(rest.ids), 0),
        after=(cut(rest, longest),),
    )


def width(segments: Sequence[Segment]) -> int:
    """Return the most tokens that a row can take up when every level is padded to its longest."""
    if not segments:
        return 0
    after = [each for segment in segments for each in segment.after]
    return max(len(segment.ids) for segment in segments) + width(after)


def pack(segments: Sequence[Segment], limits: PassLimits, *, before: int = 0) -> list[list[int]]:
    """Return batches of indices of segments: of similar length, within the limits.

    A batch is closed when padding in it would cost more than another pass does. One segment is a
    batch, whatever the limits.

    Args:
        segments: what one pass could take together.
        limits: what it may hold.
        before: how many tokens stand before them, padding included.
    """
    batches: list[list[int]] = []
    reads = padding = wide = 0
    order = sorted(
        range(len(segments)), key=lambda index: (len(segments[index].ids), segments[index].read)
    )
    for index in order:
        long, count = len(segments[index].ids), len(batches[-1]) + 1 if batches else 1
        reads = max(reads, segments[index].read, 1)
        padding += (count - 1) * (long - wide)
        if not batches or (
            count * long > limits.tokens
            or count * reads > limits.reads
            or count * (before + long + limits.more) > limits.slots
            or count * (long + limits.more) > _GROWN * limits.tokens
            or padding > _PASS_TOKENS
        ):
            batches.append([])
            padding, reads = 0, max(segments[index].read, 1)
        wide = long
        batches[-1].append(index)
    return batches
