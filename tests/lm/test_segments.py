from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.lm.forward.shared_prefixes import (
    PassLimits,
    Segment,
    alone,
    as_segments,
    cut,
    pack,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Ids = tuple[int, ...]
UNBOUNDED = PassLimits(tokens=10**9, reads=10**9, slots=10**9)

# Rows put together from few pieces begin alike often, and are each other's beginnings.
PIECES = [(1,), (2, 3), (7,) * 9, (1, 2, 3, 4, 5, 6, 7, 8), (4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5)]


@st.composite
def rows_and_firsts(draw: st.DrawFn) -> tuple[list[Ids], list[int]]:
    pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5)
    rows = draw(st.lists(pieces.map(lambda parts: sum(parts, ())), min_size=1, max_size=12))
    return rows, [draw(st.integers(0, len(row) - 1)) for row in rows]


def walk(segments: Sequence[Segment]) -> Iterator[Segment]:
    for segment in segments:
        yield segment
        yield from walk(segment.after)


def lengths(count: int) -> list[Segment]:
    return [
        Segment(ids=(0,) * (1 + index % 23), start=0, rows=(index,), read=1, after=())
        for index in range(count)
    ]


@given(drawn=rows_and_firsts(), longest=st.integers(1, 30))
def test_a_rows_segments_are_the_row(drawn: tuple[list[Ids], list[int]], longest: int) -> None:
    rows, firsts = drawn
    for trees in (
        alone(rows, firsts),
        as_segments(rows, firsts),
        [cut(each, longest) for each in as_segments(rows, firsts)],
    ):
        for index, row in enumerate(rows):
            mine = [segment for segment in walk(trees) if index in segment.rows]
            assert sum((segment.ids for segment in mine), ()) == row
            assert [s.start for s in mine] == [0, *(s.end for s in mine[:-1])]


@given(drawn=rows_and_firsts(), longest=st.integers(1, 30))
def test_just_the_positions_that_some_row_asks_for_are_read(
    drawn: tuple[list[Ids], list[int]], longest: int
) -> None:
    rows, firsts = drawn
    for segment in walk([cut(each, longest) for each in as_segments(rows, firsts)]):
        assert len(segment.ids) <= longest
        first = min(firsts[index] for index in segment.rows)
        assert segment.read == sum(at >= first for at in range(segment.start, segment.end))


def test_header_prompt_and_candidates_are_three_levels() -> None:
    header, prompts = tuple(range(100, 120)), [tuple(range(n, n + 8)) for n in (1, 20, 40)]
    rows = [(*header, *prompt, answer) for prompt in prompts for answer in (7, 8)]
    (top,) = as_segments(rows, [27] * 6)
    assert (top.ids, top.rows, top.read) == (header, (0, 1, 2, 3, 4, 5), 0)
    assert [(each.ids, each.rows, each.read) for each in top.after] == [
        (prompts[0], (0, 1), 1),
        (prompts[1], (2, 3), 1),
        (prompts[2], (4, 5), 1),
    ]
    assert [each.ids for prompt in top.after for each in prompt.after] == [(7,), (8,)] * 3
    assert width([top]) == 20 + 8 + 1


def test_few_tokens_in_common_are_not_worth_a_segment() -> None:
    assert len(as_segments([(1, 2, 3, 4), (1, 2, 3, 5)], [3, 3])) == 2


def test_equal_rows_are_one_segment() -> None:
    (only,) = alone([(1, 2), (1, 2)], [0, 1])
    assert (only.rows, only.read) == ((0, 1), 2)


def test_rows_that_grow_by_one_token_each_do_not_nest_without_end() -> None:
    rows = [tuple(range(count)) for count in range(1, 2000, 9)]
    depth, level = 0, as_segments(rows, [0] * len(rows))
    while level:
        depth, level = depth + 1, [each for segment in level for each in segment.after]
    assert depth <= 4


@given(
    drawn=rows_and_firsts(),
    tokens=st.integers(1, 60),
    reads=st.integers(1, 60),
    before=st.integers(0, 20),
    more=st.integers(0, 9),
)
def test_batches_hold_each_segment_once_and_stay_within_the_limits(
    drawn: tuple[list[Ids], list[int]], tokens: int, reads: int, before: int, more: int
) -> None:
    segments = alone(*drawn)
    limits = PassLimits(tokens=tokens, reads=reads, slots=9 * tokens, more=more)
    batches = pack(segments, limits, before=before)
    assert sorted(index for batch in batches for index in batch) == list(range(len(segments)))
    for batch in batches:
        longest = max(len(segments[index].ids) for index in batch)
        assert len(batch) == 1 or (
            len(batch) * longest <= tokens
            and len(batch) * max(segments[index].read for index in batch) <= reads
            and len(batch) * (before + longest + more) <= 9 * tokens
            and len(batch) * (longest + more) <= 4 * tokens
        )


def test_padding_costs_less_than_another_pass() -> None:
    segments = lengths(500)
    batches = pack(segments, UNBOUNDED)
    assert len(batches) > 1
    for batch in batches:
        sizes = [len(segments[index].ids) for index in batch]
        assert max(sizes) * len(sizes) - sum(sizes) <= 40


def test_segments_of_one_length_fill_a_batch() -> None:
    segments = [lengths(1)[0]] * 90
    assert [len(batch) for batch in pack(segments, UNBOUNDED)] == [90]
    limits = PassLimits(tokens=40, reads=10**9, slots=10**9)
    assert [len(batch) for batch in pack(segments, limits)] == [40, 40, 10]


def test_rows_that_will_grow_are_fewer_to_a_batch() -> None:
    limits = PassLimits(tokens=40, reads=10**9, slots=10**9, more=9)
    assert [len(batch) for batch in pack([lengths(1)[0]] * 40, limits)] == [16, 16, 8]
