"""Calls of the libraries that read a model's files: what they raise and what they print.

A broken file makes them raise anything, and print what it holds.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from transformers.utils import logging as hf_logging

from pytest_eac.errors import EacError, ModelError
from pytest_eac.untrusted_text import line

_SHOWN = 300  # characters of a library's message


@contextmanager
def refusing(where: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever a library raises into a ``ModelError``, of which it is the cause.

    For a broken file, transformers, tokenizers, gguf and torch raise whatever exception the first
    failing line happens to raise: ``KeyError``, ``ZeroDivisionError``, ``RecursionError``,
    ``MemoryError`` for a size that no machine has, or a panic of Rust, which is no ``Exception``.
    So there is no list of classes. Only calls of libraries belong inside the block: a bug of our
    own would be reported as a broken file.

    Args:
        where: the model or file that is read, and what fails: ``x/config.json: cannot be used``.
        remedy: what to do, where that is known.

    Raises:
        ModelError: names both, and the class and text of the library's exception.
    """
    try:
        yield
    except EacError:
        raise
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"  # of a library written in Rust
        if not (isinstance(error, Exception) or is_panic):
            raise  # KeyboardInterrupt and its like
        if "custom code" in str(error):
            raise ModelError(
                f"{where.partition(': ')[0]}: cannot be loaded without code of its own, which was "
                "not run; --eac-trust-remote-code allows that for a base, and never for a release"
            ) from error
        raise ModelError(f"{where}: {brief(error)}{f'; {remedy}' if remedy else ''}") from error


def brief(error: BaseException) -> str:
    """Return the class and the text of an exception in one line that is safe to print."""
    text = " ".join(str(error).split())
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}..."
    return line(f"{type(error).__name__}: {text}" if text else type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice out of the user's terminal.

    They may quote a hostile file as it is. What goes wrong is raised, not only logged.
    """
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), _unprinted():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


@contextmanager
def _unprinted() -> Iterator[None]:
    """Drop what Rust code prints, which knows nothing of ``sys.stdout``: names of keys, panics."""
    _flush()
    try:
        saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    except OSError:  # there are none, as in a service
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in saved:
            os.dup2(null, descriptor)
        yield
    finally:
        _flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
            stream.flush()
