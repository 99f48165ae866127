"""Records of JSON lists: those that json finds, in bounded memory and linear work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eac.data.json_records import elements
from pytest_eac.errors import DataError


@pytest.mark.parametrize(
    "record",
    [
        "[" * 600,
        "[" + "[]," * 300,
        '"' + "x" * 600,
        "[" + r'"\ud83d\ude00",' * 300,
        "[" + "1," * 300,
        f'"{"x" * 300}", 1]',
    ],
)
def test_a_record_of_a_json_list_longer_than_any_is_refused_before_it_is_built(
    record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    plain = json.JSONDecoder.raw_decode

    def counted(self: json.JSONDecoder, text: str, at: int = 0) -> tuple[object, int]:
        decoded.append(len(text))
        return plain(self, text, at)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", counted)
    for times in (1, 2):
        text = f'[{{"a": 1}},\n {record * times}'
        found = elements(Path("x"), text, limit=300)
        assert next(found) == (1, '{"a": 1}'), "nothing behind it is read"
        with pytest.raises(DataError, match=r"x:2: found a record of more than 0.0003 MB"):
            next(found)
        assert max(decoded) <= 2 * 300


@settings(deadline=None)
@given(
    st.lists(
        st.recursive(
            st.none() | st.floats(allow_nan=False) | st.text(max_size=4),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        )
    ),
    st.sampled_from([None, 1]),
)
def test_the_elements_of_a_json_list_are_those_that_json_finds(
    records: list[object], indent: int | None
) -> None:
    text = json.dumps(records, indent=indent)
    limit = max(len(json.dumps(record, indent=9)) for record in [0, *records])
    found = [*elements(Path("x"), text, limit=limit)]
    assert [json.loads(each) for _, each in found] == records
    lines = text.splitlines()
    assert all(
        lines[number - 1].strip().startswith(each[:1]) or not indent for number, each in found
    )


def test_many_records_of_a_json_list_are_read_in_linear_work() -> None:
    copied: dict[int, int] = {}

    class Text(str):
        __slots__ = ()

        def __getitem__(self, index: object) -> str:
            found = str.__getitem__(self, index)  # type: ignore[index]
            copied[count] = copied.get(count, 0) + len(found)
            return found

    for count in (8_000, 16_000):
        found = elements(Path("x"), Text(f"[{'[],' * count}[]]"), limit=1_000)
        assert sum(1 for _ in found) == count + 1
    assert copied[16_000] <= 2.1 * copied[8_000]
