"""No wrong token for a subject of any script, in any tokenizer, held against two slow twins."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eac.errors import EditError
from pytest_eac.lm.loading.find import find_model
from pytest_eac.lm.tokens import encode, subject_end
from pytest_eac.spec.edits import Placed, place
from tests.conftest import REAL_MODEL, USER_CACHE
from tests.lm.trained_tokenizers import KINDS, trained

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SCRIPTS = (
    "abcdeXYZ",
    "éüñçåøßİıÅ",
    "ấộěřğ",
    "абвйёЙї",
    "αήΐΑῆἈ",
    "ابةلاأئپچ",
    "אבגשׁוּ",
    "कखगनईक्षि़ढ़",
    "தமிழ்நா",
    "কখড়়োৌ",
    "กรุงเทพำ้",
    "ភ្នំពេញ",
    "서울한국마실까",
    "東京北京鬱𠮷",
    "あいがぱゞ",
    "アガパーヴ",
    "აბგდ",
    "አዲስ",
    "བོད་ལ",
    "0123٣५²½",
    "ﬁℕⅧＡ™①㎏",
)
MARKS = "\u0301\u0308\u0323\u0327\u20d7\u0338"
EMOJI = ("👍", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷", "🇺🇸", "🇯🇵", "❤️", "1️⃣", "😀")
BETWEEN = "  -'.,()!·/_{}\u2019\u00a0\u3000،。"
INVISIBLE = "\u200d\u200c\u200b\u200e\u200f\u2060\u00ad\ufe0f"


def texts(most: int) -> SearchStrategy[str]:
    """Texts of all scripts, some of their letters with marks, some normalised."""
    letter = st.sampled_from(SCRIPTS).flatmap(st.sampled_from)
    marked = st.builds("{}{}".format, letter, st.text(MARKS, min_size=1, max_size=3))
    word = st.sampled_from(SCRIPTS).flatmap(lambda script: st.text(script, min_size=1, max_size=5))
    piece = st.one_of(word, word, letter, marked, st.sampled_from([*EMOJI, *BETWEEN, *INVISIBLE]))
    joined = st.lists(piece, max_size=most).map("".join)
    form = st.sampled_from(["NFC", "NFD", None, None])
    return st.builds(
        lambda text, form: unicodedata.normalize(form, text) if form else text, joined, form
    )


SUBJECTS = texts(4).map(str.strip).filter(bool)
AROUND = texts(4).map(lambda text: text.replace("{}", "()"))


def slow_last_token(tokenizer: Any, placed: Placed) -> int | None:
    """The definition, word for word."""
    end = placed.start + len(placed.subject)
    last_grapheme = regex.findall(r"\X", placed.subject)[-1]
    positions = set(range(end - len(last_grapheme), end))
    offsets = tokenizer(placed.text, return_offsets_mapping=True)["offset_mapping"]
    covering = [
        index for index, (low, high) in enumerate(offsets) if positions & set(range(low, high))
    ]
    return covering[-1] if covering else None


def slow_last_token_by_bytes(tokenizer: Any, placed: Placed) -> int | None:
    """Without offsets: the last token with a byte of the last grapheme; byte-level ones only.

    ``None`` where what stands around the subject changes how it is normalised.
    """
    end = placed.start + len(placed.subject)
    graphemes = regex.findall(r"\X", placed.subject)
    cuts = (0, end - len(graphemes[-1]), end, len(placed.text))
    parts = [normalized(tokenizer, placed.text[low:high]) for low, high in pairwise(cuts)]
    whole = normalized(tokenizer, placed.text)
    if "".join(parts) != whole:
        return None
    first, stop = (len("".join(parts[:count]).encode()) for count in (1, 2))
    ids = tokenizer(placed.text, add_special_tokens=False)["input_ids"]
    sizes = [len(token) for token in tokenizer.convert_ids_to_tokens(ids)]  # a character a byte
    lead = sum(sizes) - len(whole.encode())  # a space that is put before the text
    assert lead in {0, 1}
    found, at = None, -lead
    for index, size in enumerate(sizes):
        if at < stop and at + size > first:
            found = index
        at += size
    return found


def normalized(tokenizer: Any, text: str) -> str:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer.normalize_str(text) if normalizer else text


def every_kind() -> dict[str, Any]:
    return {kind: trained(kind) for kind in KINDS}


def runs_together(*parts: str) -> bool:
    """Whether some of the texts make one grapheme where they meet."""
    alone = sum(len(regex.findall(r"\X", part)) for part in parts)
    return len(regex.findall(r"\X", "".join(parts))) < alone


def check(tokenizers: dict[str, Any], before: str, subject: str, after: str) -> None:
    """Hold the last token against both twins, or see that there is a reason to refuse it."""
    try:
        placed = place(f"{before}{{}}{after}", subject)
    except ValueError:
        assert runs_together(before.lstrip(), subject, after.rstrip())
        return
    assert placed.text[placed.start :].startswith(subject)
    for name, tokenizer in tokenizers.items():
        wanted = slow_last_token(tokenizer, placed)
        try:
            found = subject_end(tokenizer, placed.text, subject, at=placed.start)
        except EditError:
            assert wanted is None, name
            continue
        assert found == wanted, name
        if name.startswith("byte-"):
            assert slow_last_token_by_bytes(tokenizer, placed) in {None, found}, name


def check_other_form(tokenizers: dict[str, Any], subject: str) -> None:
    """A subject is found in a prompt that writes it in the other form, and gives the same token."""
    composed, apart = (unicodedata.normalize(form, subject) for form in ("NFC", "NFD"))
    for there, here in ((composed, apart), (apart, composed)):
        prompt = f"≡ {there} ≡"
        try:
            placed = place(prompt, here)
        except ValueError:
            assert runs_together("≡ ", subject, " ≡")
            continue
        assert placed.subject == there
        for name, tokenizer in tokenizers.items():
            wanted = slow_last_token(tokenizer, placed)
            if wanted is not None:
                at = subject_end(tokenizer, placed.text, placed.subject)
                assert at == wanted, name


@given(before=AROUND, subject=SUBJECTS, after=AROUND)
@settings(max_examples=300)
def test_no_token_is_wrong(before: str, subject: str, after: str) -> None:
    check(every_kind(), before, subject, after)


@given(subject=SUBJECTS)
@settings(max_examples=100)
def test_a_subject_in_another_form_than_its_prompt_is_found(subject: str) -> None:
    check_other_form(every_kind(), subject)


@pytest.mark.slow
@given(before=AROUND, subject=SUBJECTS, after=AROUND)
@settings(max_examples=5_000)
def test_no_token_is_wrong_in_many_more_texts(before: str, subject: str, after: str) -> None:
    check(every_kind() | {"byte-smollm2": _smollm2()}, before, subject, after)
    check_other_form(every_kind(), subject)


@cache
def _smollm2() -> Any:
    """The real tokenizer alone; the model's weights are not read."""
    from transformers import AutoTokenizer

    found = find_model(REAL_MODEL, cache_dir=USER_CACHE)
    return AutoTokenizer.from_pretrained(found.folder)


@pytest.mark.parametrize(
    "name", ["José", "Beyoncé", "마실까해요", "Ấn Độ", "Ångström", "क्षि", "ガ"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_composed_and_a_decomposed_subject_end_in_one_token_if_the_tokenizer_makes_them_one(
    kind: str, name: str
) -> None:
    tokenizer = trained(kind)
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    if encode(tokenizer, f"In {composed} live") == encode(tokenizer, f"In {apart} live"):
        ends = {subject_end(tokenizer, f"In {each} live", each) for each in (composed, apart)}
        assert len(ends) == 1
    else:
        assert kind in {"byte-plain", "metaspace", "llama-2"}  # the kinds that normalise nothing


def test_a_subject_whose_end_the_tokenizer_drops_is_reported() -> None:
    with pytest.raises(EditError, match=r"no token holds the end of 'A\\u200b' .* drops '\\u200b'"):
        subject_end(trained("bert"), "In A\u200b live", "A\u200b")
