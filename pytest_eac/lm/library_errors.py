"""Errors of the libraries that read a model's files, as errors of this package."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError, ModelError
from pytest_eac.untrusted_text import line

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 300  # characters of a library's message


@contextmanager
def refusing(where: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever a library raises into a ``ModelError``, of which it is the cause.

    For a broken file, transformers, tokenizers, gguf and torch raise whatever the first line that
    cannot go on does: ``KeyError``, ``ZeroDivisionError``, ``RecursionError``, ``MemoryError`` for
    a size that no machine has, or a panic of Rust, which is no ``Exception``. So there is no list
    of classes. Only calls of libraries belong inside the block: a mistake of our own would
    be taken for a broken file there.

    Args:
        where: the model or file that is read, and what fails: ``x/config.json: cannot be used``.
        remedy: what to do, where that can be said.

    Raises:
        ModelError: names both, and the class and text of the library's exception.
    """
    try:
        yield
    except EacError:
        raise
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise  # KeyboardInterrupt and its like
        if "custom code" in str(error):
            raise ModelError(
                f"{where.partition(': ')[0]}: cannot be loaded without code of its own, which was "
                "not run; --eac-trust-remote-code allows that for a base, and never for a release"
            ) from error
        raise ModelError(f"{where}: {brief(error)}{f'; {remedy}' if remedy else ''}") from error


def is_panic(error: BaseException) -> bool:
    """Say whether an exception is a panic of a library written in Rust."""
    return type(error).__name__ == "PanicException"


def brief(error: BaseException) -> str:
    """Return the class and the text of an exception in one line that is safe to print."""
    text = " ".join(str(error).split())
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}..."
    return line(f"{type(error).__name__}: {text}" if text else type(error).__name__)
