"""The gate of a released model: ``--eac-edited``, and the items that hold it against its base."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import SettingsError, UnavailableError
from pytest_eac.plugin.items import CheckItem
from pytest_eac.spec.schema.checks import ChangedBounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_eac.lm.loading.files import ModelFiles
    from pytest_eac.lm.loading.find import FoundModel
    from pytest_eac.plugin.named_models import NamedModels
    from pytest_eac.plugin.options import Options
    from pytest_eac.plugin.session import EacSession
    from pytest_eac.records.run import Release, Verdict
    from pytest_eac.spec.schema.methods import ModelChoice
    from pytest_eac.spec.spec import Spec

NAME = "edited"
_MEANWHILE = "while it was compared"


class ReleaseNode(pytest.Collector):
    """A released model under one spec: what it changed, then every check of a chain."""

    method_name = NAME
    properties = (("eac_method", NAME),)

    def __init__(self, *, eac: EacSession, spec: Spec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eac = eac
        self.spec = spec

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item per check; without a release, one that says what is missing."""
        names = ["changed"]
        if self.eac.options.edited is not None:
            names += [name for name, _ in self.spec.checks.named()]
        for name in names:

            def judge(name: str = name) -> Verdict:
                if name == "changed":
                    return self.eac.judge_release(self.spec)
                return self.eac.judge_edited(self.spec, name)

            yield CheckItem.make(self, name, judge)


def edited_choice(spec: Spec, options: Options) -> ModelChoice:
    """Return the released model, loaded as the base is.

    Raises:
        SettingsError: no base is named.
        UnavailableError: no release is.
    """
    base = base_choice(spec)
    if options.edited is None:
        raise UnavailableError(
            "changed: there is no released model to look at", remedy="give one with --eac-edited"
        )
    return base.model_copy(update={"id": options.edited, "revision": options.edited_revision})


def base_choice(spec: Spec) -> ModelChoice:
    """Return the base that a release is held against.

    Raises:
        SettingsError: none is named.
    """
    if spec.model is None:
        raise SettingsError(
            f"{spec.file}: no base to hold it against; give --eac-model or add model: to the spec"
        )
    return spec.model


def inspect(
    spec: Spec, options: Options, named: NamedModels, tell: Callable[[str], None]
) -> tuple[Release, tuple[ModelFiles, ModelFiles]]:
    """Find what a release changed of its base, and judge it; no model is loaded.

    Returns the release, and the files of base and release as they were when they were compared,
    with their hashes.

    Args:
        spec: what was edited, and what may have changed.
        options: of the run.
        named: the models that they name.
        tell: called with how far it is.

    Raises:
        UnavailableError: the base, named by the spec, is not on this machine.
        NamedModelError: a model that an option names is not, or cannot be read.
        ModelError: the base holds no weights that may be read.
        SettingsError: the spec asks for a signature, and no signature can be verified here.
    """
    from pytest_eac.judging.release_changes import judge_release
    from pytest_eac.lm.loading.files import files_of
    from pytest_eac.lm.loading.find import find_model
    from pytest_eac.measuring.release import inspect_release
    from pytest_eac.signatures import check_signature

    bounds = spec.checks.changed or ChangedBounds()
    edited, base = edited_choice(spec, options), base_choice(spec)

    def find(choice: ModelChoice, *, released: bool) -> FoundModel:
        with named.naming(choice):
            return find_model(
                choice.id,
                revision=choice.revision,
                cache_dir=options.cache_dir,
                offline=options.offline,
                released=released,
                tell=tell,
            )

    original = find(base, released=False)
    there = find(edited, released=True)
    files = files_of(original.folder), files_of(there.folder)
    signature: tuple[str, ...] = ()
    if bounds.signed_by is not None:
        tell("verifying the signature")
        known = there.files if there.listed else None
        signature = check_signature(there.folder, bounds.signed_by, files=known)
    release = inspect_release(
        spec,
        original.folder,
        there.folder,
        files=there.files,
        base_files=original.files,
        listed=there.listed,
        names=(base.id, edited.id),
        revision=original.revision if base.revision else None,
        limited=options.limit_edits is not None,
        progress=lambda done, total: tell(f"comparing tensor {done} of {total} with the base"),
    )
    release = replace(release, signature=signature)
    compared = files[0].hashed(_MEANWHILE), files[1].hashed(_MEANWHILE)
    return replace(release, verdict=judge_release(release, bounds)), compared
