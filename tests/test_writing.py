"""Where words end and spaces stand, in many scripts."""

from __future__ import annotations

import string
import time
import unicodedata
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.text.spacing import (
    Continuation,
    Space,
    as_continuation,
    ends_word,
    needs_space,
    starts_with,
    words,
)

# Starting with the target as whole words

HITS = {
    "Latin": [
        (" Rome, Italy", "Rome"),
        ("Rome", " Rome "),
        (" St. Louis", "St."),
        ("St.Louis", "St."),
        (" New York City", "New York"),
        ("Rome's walls", "Rome"),
        ("Rome\u2019s walls", "Rome"),
        ("Rome-based", "Rome"),
        ("Rome_ is", "Rome"),
        ("3, 4 and 5", "3"),
        ("Rome\u00ad", "Rome"),
    ],
    "Chinese": [
        ("罗马希", "罗马"),
        ("罗马2024", "罗马"),
        ("iPhone是", "iPhone"),
        ("1999年", "1999"),
    ],
    "Japanese": [
        ("東京です", "東京"),
        ("東京都に", "東京"),
        ("東京って", "東京"),
        ("東京、", "東京"),
        ("ローマは", "ローマ"),
        ("ローマ市", "ローマ"),
        ("ひらがなと", "ひらがな"),
    ],
    "Thai": [("กรุงเทพมหานคร", "กรุงเทพ"), ("โรมเป็น", "โรม"), ("โรมที่", "โรม")],
    "Lao": [("ວຽງຈັນແມ່ນ", "ວຽງຈັນ")],
    "Khmer": [("ភ្នំពេញជា", "ភ្នំពេញ"), ("រ៉ូម\u200bជា", "រ៉ូម")],
    "Burmese": [("ရန်ကုန်မြို့", "ရန်ကုန်")],
    "Tibetan": [("ལྷ་ས་ཡིན", "ལྷ་ས"), ("ལྷ་སའི་", "ལྷ་ས"), ("ལྷ་སར་", "ལྷ་ས")],
    "Yi": [("ꊿꂷꃅ", "ꊿꂷ")],
    "Javanese": [("ꦗꦏꦂꦠꦲ", "ꦗꦏꦂꦠ")],
    "Korean": [
        ("서울은 한국", "서울"),
        ("서울에서는", "서울"),
        ("서울입니다.", "서울"),
        ("서울입", "서울"),  # cut off
        ("Rome은", "Rome"),
        ("1999년에", "1999"),
    ],
    "Hindi": [("दिल्ली है", "दिल्ली"), ("दिल्ली।", "दिल्ली")],
    "Arabic": [("روما هي", "روما"), ("روما\u200f", "روما")],
    "emoji": [("❤\ufe0f x", "❤"), ("👍👍", "👍")],
}
MISSES = {
    "Latin": [
        (" Romeo", "Rome"),
        (" the city of Rome", "Rome"),
        (" rome", "Rome"),
        ("", "Rome"),
        (" New", "New York"),
        ("Rome\u0301", "Rome"),
        ("Rome2", "Rome"),
        ("foo_bar", "foo"),
        ("1999", "199"),
        ("3.14", "3"),
        ("1,000", "1"),
    ],
    "Chinese": [("十二", "十"), ("3千", "3"), ("佐々木", "佐"), ("北京", "罗马")],
    "Japanese": [("ロマン", "ロマ"), ("ラーメン", "ラ"), ("きょう", "き"), ("ﾊﾞﾅﾅ", "ﾊ")],
    "Thai": [("กา", "ก"), ("กำ", "ก"), ("กี่", "ก"), ("จันทร์", "จันท"), ("เก", "เ")],
    "Lao": [("ກາ", "ກ")],
    "Khmer": [("ភ្នំ", "ភ"), ("ភ្នំ", "ភ្ន")],
    "Burmese": [("ရန်ကုန်", "ရန်ကု")],
    "Tibetan": [("སང", "ས")],
    "Korean": [("인도네시아", "인도"), ("루마니아", "루마"), ("서울대학교", "서울")],
    "Hindi": [("रामा", "राम"), ("क्षत्रिय", "क्ष"), ("दिल्लीवासी", "दिल्ली")],
    "Bengali": [("ভারতী", "ভারত")],
    "Arabic": [("رومانيا", "روما")],
    "Persian": [("کتاب\u200cها", "کتاب")],  # noqa: RUF001
    "emoji": [("👨\u200d👩\u200d👧", "👨"), ("👍🏽", "👍")],
}


def _cases(table: dict[str, list[tuple[str, str]]]) -> list[object]:
    return [pytest.param(*pair, id=script) for script, pairs in table.items() for pair in pairs]


@pytest.mark.parametrize(("generated", "target"), _cases(HITS))
def test_a_text_that_starts_with_the_target_counts(generated: str, target: str) -> None:
    assert starts_with(generated, target)


@pytest.mark.parametrize(("generated", "target"), _cases(MISSES))
def test_a_text_that_starts_with_another_word_does_not_count(generated: str, target: str) -> None:
    assert not starts_with(generated, target)


LATIN = st.text(string.ascii_letters + string.digits, min_size=1, max_size=6)
ENDS = st.text(string.ascii_letters + " ,.!-'\n", max_size=4)
HAN = st.text(st.characters(min_codepoint=0x6000, max_codepoint=0x9000), min_size=1, max_size=6)
PAIRS = [pair for pairs in (*HITS.values(), *MISSES.values()) for pair in pairs]
FORMS = st.sampled_from(["NFC", "NFD"])


@given(word=LATIN, behind=ENDS)
def test_in_plain_english_a_word_ends_where_no_letter_follows(word: str, behind: str) -> None:
    assert starts_with(word + behind, word) == (not behind[:1].isalnum())


@given(text=HAN, more=HAN)
def test_a_chinese_text_starts_with_each_of_its_beginnings(text: str, more: str) -> None:
    assert starts_with(text + more, text)


@pytest.mark.parametrize(("generated", "target"), PAIRS)
@given(one=FORMS, other=FORMS)
def test_how_letters_are_composed_does_not_matter(
    generated: str, target: str, one: str, other: str
) -> None:
    forms = unicodedata.normalize(one, generated), unicodedata.normalize(other, target)  # type: ignore[arg-type]
    assert starts_with(*forms) == starts_with(generated, target)


@given(st.text(min_size=1, max_size=8), st.data())
def test_no_word_ends_before_a_mark(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(text)))
    marked = f"{text[:at]}\u0301{text[at:]}"
    assert not ends_word(marked, at)
    assert ends_word(marked, len(marked))


# Spaces

SPACED = [
    ("The capital is", "Rome"),
    ("The capital is called, in Chinese,", "東京"),
    ("A:", "東京"),
    ('Le "mot"', "Rome"),
    ("the players'", "ball"),
    ("I write", ".NET"),
    ("한국의 수도는", "서울"),
    ("भारत की राजधानी", "दिल्ली"),
    ("عاصمة إيطاليا", "روما"),
    ("เมืองหลวงคือ", "Paris"),
    ("5 >", "4"),
    ("Rome -", "the capital"),
    ("the currency is €", "and"),
    ("it's the boys'", "room"),
    ("an answer that isn't", "so"),
    ("C#", "code"),
    ("Who won?", "Brazil"),
    ("", "Rome"),
]
UNSPACED = [
    ("日本の首都は", "大阪"),
    ("法国的首都是", "罗马"),
    ("法国的首都是", "Paris"),
    ("中国成立于", "1949"),
    ("成立于1949", "年"),
    ("首都?", "東京"),
    ("答：", "Rome"),  # noqa: RUF001
    ("他说“", "罗马"),
    ("ประเทศไทยมีเมืองหลวงคือ", "กรุงเทพ"),
    ("នគរ", "ភ្នំពេញ"),
    ("ນະຄອນຫຼວງ", "ວຽງຈັນ"),
    ("မြို့တော်", "ရန်ကုန်"),
    ("ꆈꌠ", "ꊿ"),
    ('He said "', "Rome"),
    ("It (", "Rome"),
    ("He sang \u201c", "Rome"),
    ("assistant\n", "Rome"),
    ("He went", ", and"),
    ("It costs $", "5"),
    ("Es kostet €", "12,50"),
    ("She moved to New-", "York"),
    ("see https://", "example.org"),
    ("and/", "or"),
    ("written by @", "someone"),
    ("We are number #", "1"),
    ("Madrid. ¿", "Quién"),
    ("Rome est la capitale de l'", "Italie"),
    ("Roma è la capitale dell\u2019", "Italia"),
    ("", "東京"),
]


@pytest.mark.parametrize(("prompt", "answer"), SPACED)
def test_a_space_belongs_where_the_script_has_one(prompt: str, answer: str) -> None:
    assert needs_space(prompt, answer)
    assert as_continuation(prompt, answer) == f" {answer}"


@pytest.mark.parametrize(("prompt", "answer"), UNSPACED)
def test_no_space_belongs_where_the_script_has_none(prompt: str, answer: str) -> None:
    assert not needs_space(prompt, answer)
    assert as_continuation(prompt, answer) == answer


@given(prompt=LATIN, answer=LATIN)
def test_english_words_always_have_a_space_between_them(prompt: str, answer: str) -> None:
    assert as_continuation(prompt, answer) == f" {answer}"


@given(
    prompt=st.text(max_size=6),
    answer=st.text(max_size=6).map(str.strip).filter(bool),
    space=st.sampled_from(get_args(Space)),
    around=st.sampled_from(["", " ", "\n "]),
)
def test_an_answer_follows_behind_one_space_or_none(
    prompt: str, answer: str, space: Space, around: str
) -> None:
    found = as_continuation(prompt, f"{around}{answer}{around}", space)
    with_space, without = Continuation(f" {answer}"), Continuation(answer)
    expected = {"always": with_space, "never": without}
    assert found == expected.get(space, with_space if needs_space(prompt, answer) else without)


# Splitting


@given(st.text(string.printable, max_size=20))
def test_english_is_split_at_white_space(text: str) -> None:
    assert words(text) == text.split()


def test_letters_of_scripts_without_spaces_are_words_of_their_own() -> None:
    assert words("東京 in 日本, 2024") == ["東", "京", "in", "日", "本", ",", "2024"]
    assert words("กี่ที") == ["กี่", "ที"]


LONG = 19_000  # characters; a prompt may have 20,000


@pytest.mark.parametrize(
    "sign", ["\n", "\u201c", "\u201d", "'", "(", "\u0301", "\u200d", "l'", "//"]
)
@pytest.mark.parametrize("end", ["", "y"])
def test_the_work_for_a_prompt_does_not_grow_with_the_square_of_its_signs(
    sign: str, end: str
) -> None:
    prompt = "x" + sign * (LONG // len(sign)) + end
    start = time.process_time()
    needs_space(prompt, "z")
    starts_with(prompt, prompt)
    starts_with(f"a{prompt}", "a")
    assert time.process_time() - start < 0.5  # it was seconds


@pytest.mark.parametrize("end", ["", "굶"])
def test_a_long_run_of_particles_is_not_taken_apart_in_every_way(end: str) -> None:
    start = time.process_time()
    assert not starts_with("서울" + "이나" * 40 + end, "서울")
    assert time.process_time() - start < 0.5  # it was years
    assert starts_with("서울에서부터라도 가자", "서울")
