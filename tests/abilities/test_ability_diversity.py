"""How varied a text is."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.abilities.answer_scores import distinct, loops, ngram_entropy

TOKENS = st.lists(st.integers(0, 2), max_size=14)


def _grams(tokens: list[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]


@given(TOKENS, st.integers(1, 4))
def test_entropy_and_distinct_are_what_their_formulas_say(tokens: list[int], n: int) -> None:
    grams = _grams(tokens, n)
    shares = [grams.count(gram) / len(grams) for gram in set(grams)]
    assert ngram_entropy(tokens, n) == pytest.approx(-sum(p * log2(p) for p in shares))
    assert distinct(tokens, n) == (len(set(grams)) / len(grams) if grams else 0)


def test_four_different_tokens_have_two_bits() -> None:
    assert ngram_entropy("abcd", 1) == 2
    assert ngram_entropy("aaaa", 1) == 0
    assert ngram_entropy("", 1) == 0


@given(TOKENS)
def test_a_loop_is_a_phrase_three_times_at_the_end(tokens: list[int]) -> None:
    slow = any(
        tokens[-3 * size :] == tokens[-size:] * 3
        for size in range(2, len(tokens) + 1)
        if 3 * size <= len(tokens)
    )
    assert loops(tokens) == slow


def test_a_loop_may_be_cut_off_but_not_left_again() -> None:
    assert loops("xyabcabcabca")
    assert not loops("abababc")
    assert not loops("aaaaa")
    assert loops("aaaaaa")
