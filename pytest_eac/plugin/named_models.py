"""Models that an option names: one that cannot be used is an error, not a skip."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_eac.errors import (
    DeviceUnavailableError,
    ModelError,
    NamedModelError,
    NonFiniteError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from pytest_eac.plugin.options import Options
    from pytest_eac.spec.schema.methods import ModelChoice


class NamedModels:
    """The models that a run's options name."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._options = options

    @contextmanager
    def naming(self, choice: ModelChoice) -> Iterator[None]:
        """Name the option in an error about the model that it names.

        The user asked for this model: to skip its checks, as for a spec's own model that is
        missing, would be a green run that tested nothing.

        Raises:
            NamedModelError: the model cannot be used.
        """
        try:
            yield
        except DeviceUnavailableError:
            raise
        except (UnavailableError, ModelError, NonFiniteError) as error:
            option = self._option(choice)
            if option is None or isinstance(error, NamedModelError):
                raise
            raise NamedModelError(option, str(error)) from error

    def _option(self, choice: ModelChoice) -> str | None:
        """Return the option that names a model, or its key in the ini file; ``None`` for a spec."""
        options = self._options
        if options.edited == choice.id and options.edited_revision == choice.revision:
            name = "edited"
        elif options.model == choice.id:
            name = "model"
        else:
            return None
        if self._config.getoption(f"--eac-{name}"):
            return f"--eac-{name}"
        ini = self._config.inipath
        return f"eac_{name} in {ini.name}" if ini else f"eac_{name}"
