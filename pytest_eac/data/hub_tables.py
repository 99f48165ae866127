"""Records of a data set of the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.data.hub import fetch_data_set
from pytest_eac.data.tables import checked
from pytest_eac.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.data.tables import Numbered

# Where no split is asked for: labels of test splits are often withheld.
_PREFERRED = ("validation", "test", "train")


def read_hub(name: str, *, revision: str | None, offline: bool) -> Iterator[Numbered]:
    """Yield the records of a data set, each with its row, counted from 1.

    The repository's files are taken from the hub's cache where they are there, which is also what
    pins them: the cache of prepared data sets would give the newest one that it has.

    Args:
        name: ``ID[/CONFIG][@SPLIT]``, the ID as ``OWNER/NAME`` or, without a config, ``NAME``.
            By default the split ``validation``, else ``test``, else ``train``.
        revision: branch, tag or commit.
        offline: fetch nothing.

    Raises:
        UnavailableError: the data set is not on this machine and cannot be fetched.
        DataError: the name, the config or the split is wrong, or the data cannot be read.
    """
    import datasets
    import pyarrow

    place, _, split = name.partition("@")
    parts = place.split("/")
    if not all(parts) or len(parts) > 3:
        raise DataError(f"found the data set {name!r}; expected OWNER/NAME[/CONFIG][@SPLIT]")
    folder = fetch_data_set("/".join(parts[:2]), revision=revision, offline=offline)
    try:
        found = datasets.load_dataset(folder, *parts[2:])
        table = found[_choose(split, list(found), name)]
        for number, row in enumerate(table, start=1):
            yield number, checked(row, f"hub:{name}:{number}")
    except (
        OSError,
        ValueError,
        pyarrow.ArrowException,
        datasets.exceptions.DatasetsError,
    ) as error:
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"data set {name!r}: {first}") from error


def _choose(split: str, there: list[str], name: str) -> str:
    for wanted in (split,) if split else (*_PREFERRED, *there[:1]):
        if wanted in there:
            return wanted
    raise DataError(f"data set {name!r}: found the splits {', '.join(there)}; expected {split!r}")
