"""How scripts write words: where a word may end, and whether a space belongs between two texts.

Most scripts put a space between words. Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan and
some others do not: there, a letter right after a word does not show whether the word has ended.
Korean puts spaces between words but attaches particles to them.

The rules refine Unicode's default word boundaries (UAX #29), which know no dictionary either.
``docs/metrics.md`` states them for users.
"""

import unicodedata
from typing import Literal, NewType

import regex

Space = Literal["auto", "always", "never"]

# A text that directly follows a prompt: it starts with a space exactly where one belongs.
Continuation = NewType("Continuation", str)


def _scripts(*names: str) -> str:
    """Return a character class of everything that is used with these scripts."""
    return "[" + "".join(rf"\p{{scx={name}}}" for name in names) + "]"


# These also put no space where another script begins; Thai and its neighbours do.
_EAST_ASIAN = _scripts("Han", "Hiragana", "Katakana", "Bopomofo", "Yi")
# Source: The Unicode Standard, chapters 13 to 18; UAX #14, classes SA, AK and AS.
UNSPACED = _scripts(
    *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Tangut", "Nushu", "Khitan_Small_Script"),
    *("Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Javanese", "Balinese"),
    *("Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom"),
)
UNSPACED_LETTER = rf"[\p{{L}}&&{UNSPACED}]"
KATAKANA_LETTER = r"[\p{L}&&\p{scx=Katakana}]"
_WIDE_PUNCTUATION = r"[\p{P}&&[\p{ea=W}\p{ea=F}]]"
_HAN_NUMERALS = "〇零一二三四五六七八九十百千万萬亿億兆"


def compiled(pattern: str) -> regex.Pattern[str]:
    """Compile an expression, in which classes of characters may be intersected (``&&``)."""
    return regex.compile(pattern, regex.V1)


CHARACTER = compiled(r"\X")  # as a reader counts them: a grapheme cluster
_MARK = compiled(r"\p{M}")
_WORD_CHARACTER = compiled(r"[\p{L}\p{M}\p{N}]")
_VARIATION = compiled(r"\p{Variation_Selector}+")
# Joiners, direction marks, soft hyphens. A zero-width space, also invisible, does end a word.
_INVISIBLE = compiled(r"[\p{Cf}--\u200b]*")
_TRAILING = compiled(r"(?r)[\p{M}\p{Cf}]*\Z")
_IDENTIFIER_GOES_ON = compiled(r"_+[\p{L}\p{M}\p{N}]")
_NUMBER_GOES_ON = compiled(r"[.,'\u2019\u066b\u066c]\p{Nd}")
_NUMBER = compiled(rf"[\p{{Nd}}{_HAN_NUMERALS}]+(?:[.,][\p{{Nd}}{_HAN_NUMERALS}]+)*")
_DIGIT = compiled(r"\p{Nd}")
_NUMERAL = compiled(rf"[\p{{Nd}}{_HAN_NUMERALS}]")
_UNSPACED_LETTER = compiled(UNSPACED_LETTER)
_KATAKANA = compiled(KATAKANA_LETTER)
# No word starts with these: a small kana, a length mark, a sign that repeats a character, a vowel
# that is written after or above its consonant. (A small tsu may: "って" is a particle.)
_NO_START = compiled(
    r"[ぁぃぅぇぉゃゅょゎゕゖー々〻ゝゞヽヾ]|(?!\p{InPC=Visual_Order_Left})\p{InSC=Vowel_Dependent}"
)
# No word ends in a vowel that is written before its consonant, or in a sign that stacks the next.
_NO_END = compiled(r"[\p{InPC=Visual_Order_Left}\p{InSC=Invisible_Stacker}]")
# A consonant that has lost its vowel closes the syllable before it.
_CLOSES_SYLLABLE = compiled(
    r"\p{L}\p{M}*[\p{InSC=Pure_Killer}\p{InSC=Consonant_Killer}\p{InSC=Invisible_Stacker}]"
)
_TIBETAN = compiled(r"[\p{L}\p{M}&&\p{scx=Tibetan}]+")
_TIBETAN_PARTICLES = compiled("(?:འ[ིོུ]ས?|འ[ངམ]|ར|ས)")
_HANGUL = compiled(r"[\p{L}&&\p{scx=Hangul}]+")
# Particles, alone or several, and the forms of the copula. Other suffixes make another word:
# 인도 (India), 인도네시아 (Indonesia).
_KOREAN_PARTICLES = compiled(
    "(?:은|는|이|가|을|를|의|에|에서|에게|에게서|께|께서|한테|한테서|와|과|하고|랑|이랑"
    "|로|으로|로서|으로서|로써|으로써|로부터|으로부터|도|만|뿐|까지|부터|보다|처럼|같이|마저"
    "|조차|마다|밖에|나|이나|든|이든|든지|이든지|라도|이라도|야|이야|야말로|이야말로|대로|만큼"
    "|(?:이)?(?:다|며|고|라|라고|라는|란|지만|므로|니까|자|지|죠)|이었다|였다|이었던|였던"
    "|이었습니다|였습니다|입니다|입니까|이에요|예요|인|인데|인가|인지|일|임)+"
)
_MOST_PARTICLES = 12  # characters, more than any particles in a row have
_LINE_END = compiled(r"[\n\v\f\r\x85\u2028\u2029]")
# A quotation mark opens at the start, after a space or another opening mark; after a letter only
# where no spaces are written, and only if it looks like one.
_OPEN = compiled(
    rf"""(?r)\p{{Ps}}\Z|(?:\A|[\s\p{{Ps}}\p{{Pi}}])["'`\p{{Pi}}\p{{Pf}}]+\Z|{UNSPACED}\p{{Pi}}\Z"""
)
# Signs that open a question in Spanish, or join what follows to themselves or the word before.
_JOINS = compiled(r"[¿¡]\Z|[\p{L}\p{N}][-\u2010\u2011/]\Z|//\Z|@\Z|(?:\A|\s)#\Z")
_CURRENCY = compiled(r"\p{Sc}\Z")
# An article, pronoun or conjunction that has lost its vowel: l'Italie, qu'elle, dell'anno.
_ELIDED = compiled(
    r"(?i)(?<![\p{L}\p{M}'\u2019])"
    r"(?:[cdjlmnst]|(?:jus|lors|puis|quoi)?qu|[cdns]?ell|[cdns]?all|sull|un|quest)['\u2019]\Z"
)
_CLOSING = compiled(r"[\p{Pe}\p{Pf},.;:!?%…]+(?:\s|\Z)")
_WIDE = compiled(_WIDE_PUNCTUATION)
_ENDS_WIDE = compiled(rf"{_WIDE_PUNCTUATION}\Z")
_ENDS_EAST_ASIAN = compiled(rf"[\p{{L}}&&{_EAST_ASIAN}][\p{{M}}\p{{Cf}}]*\Z")
_LAST_LETTER = compiled(r"(?r)\p{L}")
_LETTER = compiled(r"\p{L}")
_FIRST_LETTER = compiled(r"[\p{L}\p{N}]")
_PIECE = compiled(rf"{UNSPACED_LETTER}\p{{M}}*|(?:(?!{UNSPACED_LETTER}).)+")


def same_form(text: str) -> str:
    """Return the form in which canonically equivalent texts are equal (NFC)."""
    return unicodedata.normalize("NFC", text)


def as_continuation(prompt: str, answer: str, space: Space = "auto") -> Continuation:
    """Return an answer as it follows a prompt: with one space before it, or with none.

    White space around the answer is dropped first. ``auto`` looks at both texts: see
    :func:`needs_space`.
    """
    bare = answer.strip()
    spaced = needs_space(prompt, bare) if space == "auto" else space == "always"
    return Continuation(f" {bare}" if spaced else bare)


def needs_space(prompt: str, answer: str) -> bool:
    """Return whether a space belongs between a prompt and its answer.

    There is none

    - at the start of a line, after an opening bracket, quotation or question mark, or before
      closing punctuation;
    - after a hyphen or slash behind a word, ``@``, or ``#`` behind a space; between a currency sign
      and a number; after an apostrophe that stands for a vowel (French and Italian: ``l'``);
    - after or before punctuation as wide as a Chinese character;
    - after Chinese characters, kana, Bopomofo and Yi, whatever follows;
    - where the prompt's last letter and the answer's first are both of scripts without spaces
      between words; if the prompt has no letters, the answer's decides.
    """
    space = prompt[len(prompt.rstrip()) :]
    if _LINE_END.search(space) or _OPEN.search(prompt) or _ENDS_WIDE.search(prompt):
        return False
    if _JOINS.search(prompt) or (_CURRENCY.search(prompt) and _DIGIT.match(answer)):
        return False
    if _ELIDED.search(prompt) and _LETTER.match(answer):
        return False
    if _CLOSING.match(answer) or _WIDE.match(answer) or _ENDS_EAST_ASIAN.search(prompt):
        return False
    last, first = _LAST_LETTER.search(prompt), _FIRST_LETTER.search(answer)
    if first is None or not _UNSPACED_LETTER.match(first[0]):
        return True
    return last is not None and not _UNSPACED_LETTER.match(last[0])


def starts_with(generated: str, target: str) -> bool:
    """Return whether a generated text starts with ``target`` as whole words.

    White space before it does not count, nor does how accented letters are composed (NFC, NFD);
    case does. Where the target ends, a word must be able to end: see :func:`ends_word`.
    """
    text, wanted = _canonical(generated.lstrip()), _canonical(target.strip())
    return text.startswith(wanted) and ends_word(text, len(wanted))


def _canonical(text: str) -> str:
    plain: str = _VARIATION.sub("", same_form(text))
    return plain


def ends_word(text: str, at: int) -> bool:
    """Return whether a word that starts ``text`` may end before the character at index ``at``.

    ``text`` is in NFC. Its last word may be cut off, as in generated texts.
    """
    after: int = _INVISIBLE.match(text, at).end()
    if after == len(text):
        return True
    before = text[: at - len(_TRAILING.search(text[:at])[0])]
    rest = text[after:]
    starts_character = any(found.start() == after for found in CHARACTER.finditer(text))
    if not starts_character or _MARK.match(rest):
        return False
    left = before[-1:]
    if not _WORD_CHARACTER.match(left):
        return True
    if not _WORD_CHARACTER.match(rest):
        number_goes_on = _DIGIT.match(left) and _NUMBER_GOES_ON.match(rest)
        return not (number_goes_on or _IDENTIFIER_GOES_ON.match(rest))
    return _may_end(text[:at], left, rest)


def _may_end(word: str, left: str, rest: str) -> bool:
    """Return whether ``word``, with ``left`` as its last letter, can end before ``rest``."""
    right = rest[0]
    if _NUMERAL.match(right) and (
        (_DIGIT.match(left) and _DIGIT.match(right)) or _NUMBER.fullmatch(word)
    ):
        return False
    if _HANGUL.match(left) or _HANGUL.match(right):
        both = _HANGUL.match(left) and _HANGUL.match(right)
        return not both or _is_run_of(_KOREAN_PARTICLES, _HANGUL, rest)
    if not (_UNSPACED_LETTER.match(left) or _UNSPACED_LETTER.match(right)):
        return False
    if _TIBETAN.match(left) and _TIBETAN.match(right):
        return _is_run_of(_TIBETAN_PARTICLES, _TIBETAN, rest)
    if _KATAKANA.match(left) and _KATAKANA.match(right):
        return False
    inside = _NO_START.match(right) or _NO_END.match(word[-1]) or _CLOSES_SYLLABLE.match(rest)
    return not inside


def _is_run_of(particles: regex.Pattern[str], script: regex.Pattern[str], rest: str) -> bool:
    """Return whether the next run of a script is particles; at the text's end, maybe cut off."""
    run = script.match(rest)[0]
    if len(run) > _MOST_PARTICLES:  # there are many ways to take a longer run apart
        return False
    return particles.fullmatch(run, partial=len(run) == len(rest)) is not None


def words(text: str) -> list[str]:
    """Split a text at white space; letters of scripts without spaces are words of their own."""
    return [piece for word in text.split() for piece in _PIECE.findall(word)]
