"""Released models (``--eac-edited``): compared with their base, and measured, once a spec."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError, RecordError, SettingsError, UnavailableError
from pytest_eac.records.run import EDITED
from pytest_eac.spec.schema.checks import ChangedBounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.lm.loading.find import FoundModel
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.lm.loading.unchanged_files import ModelFiles
    from pytest_eac.plugin.models import Models
    from pytest_eac.plugin.options import Options
    from pytest_eac.records.run import Chain, Release, Verdict
    from pytest_eac.spec.schema.methods import ModelChoice
    from pytest_eac.spec.spec import Spec

_MEANWHILE = "while it was compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ComparedRelease:
    """A release, and the hashed files of base and release as they were when compared.

    ``spec`` has the set of edits that the release holds.
    """

    spec: Spec
    release: Release
    base: ModelFiles
    edited: ModelFiles


@dataclass(kw_only=True, eq=False)
class Releases:
    """What released models changed of their bases, found once a spec.

    Attributes:
        options: of the run.
        models: loads what is measured.
        ended: called whenever a release has been compared with its base.
    """

    options: Options
    models: Models
    ended: Callable[[], None]
    _found: dict[str, _ComparedRelease | EacError] = field(default_factory=dict)
    _absorbed: dict[str, Release] = field(default_factory=dict)

    def absorb(self, release: Release) -> None:
        """Take over what a worker of pytest-xdist has found."""
        self._absorbed[release.spec] = release

    @property
    def all(self) -> list[Release]:
        """What was found of each release that could be read, by this process or a worker."""
        own = {
            spec: each.release
            for spec, each in self._found.items()
            if isinstance(each, _ComparedRelease)
        }
        return list((own | self._absorbed).values())

    def judge(self, spec: Spec) -> Verdict:
        """Return the verdict on what a released model changed of its base."""
        verdict = self._compared(spec).release.verdict
        if verdict is None:
            raise RecordError(f"{spec.file}: the release has not been judged")
        return verdict

    def _compared(self, spec: Spec) -> _ComparedRelease:
        key = spec.file.as_posix()
        if key not in self._found:
            with self.models.running(spec, EDITED) as progress:
                try:
                    self._found[key] = self._compare(spec, progress.report)
                except EacError as error:  # raised again for every check, as a chain's is
                    self._found[key] = error
            self.ended()
        found = self._found[key]
        if isinstance(found, EacError):
            raise found
        return found

    def measure(self, spec: Spec) -> Chain:
        """Measure a released model as a chain is measured after its last edit.

        Raises:
            Besides what :func:`pytest_eac.measuring.release.measure_release` raises, the error of a
            release that cannot be compared with its base.
        """
        from pytest_eac.measuring.release import measure_release

        base, edited = _base_choice(spec), self._edited_choice(spec)
        compared = self._compared(spec)
        with self.models.running(spec, EDITED) as progress:
            progress.report("loading the base")

            def load(choice: ModelChoice, files: ModelFiles, *, released: bool) -> LoadedModel:
                loaded = self.models.load(choice, progress.report, released=released)
                if loaded.files is not None:
                    files.require_same(loaded.files, "after it was compared")
                return loaded

            def load_edited() -> LoadedModel:
                self.models.drop()  # the base has given up its memory, even if of the same name
                return load(edited, compared.edited, released=True)

            try:
                return measure_release(
                    compared.spec,
                    compared.release,
                    load_base=lambda: load(base, compared.base, released=False),
                    load_edited=load_edited,
                    options=self.models.ask_options(spec),
                    progress=progress,
                )
            finally:
                self.models.drop()

    def _edited_choice(self, spec: Spec) -> ModelChoice:
        """Return the released model, loaded as the base is.

        Raises:
            SettingsError: no base is named.
            UnavailableError: no release is.
        """
        base, options = _base_choice(spec), self.options
        if options.edited is None:
            raise UnavailableError(
                "changed: there is no released model to look at",
                remedy="give one with --eac-edited",
            )
        return base.model_copy(update={"id": options.edited, "revision": options.edited_revision})

    def _compare(self, spec: Spec, report: Callable[[str], None]) -> _ComparedRelease:
        """Find what a release changed of its base, and judge it; no model is loaded.

        Raises:
            UnavailableError: the base, named by the spec, is not on this machine.
            NamedModelError: a model that an option names is not, or cannot be read.
            ModelError: the base holds no weights that may be read.
            SettingsError: the spec asks for a signature, and no signature can be verified here.
        """
        from pytest_eac.judging.release_changes import judge_release
        from pytest_eac.lm.loading.find import find_model
        from pytest_eac.lm.loading.unchanged_files import files_of
        from pytest_eac.measuring.release import inspect_release, with_released_sample
        from pytest_eac.signatures import check_signature

        options = self.options
        bounds = spec.checks.changed or ChangedBounds()
        edited, base = self._edited_choice(spec), _base_choice(spec)

        def find(choice: ModelChoice, *, released: bool) -> FoundModel:
            with self.models.naming(choice):
                return find_model(
                    choice.id,
                    revision=choice.revision,
                    cache_dir=options.cache_dir,
                    offline=options.offline,
                    released=released,
                    report=report,
                )

        original = find(base, released=False)
        there = find(edited, released=True)
        files = files_of(original.folder), files_of(there.folder)
        signature: tuple[str, ...] = ()
        if bounds.signed_by is not None:
            report("verifying the signature")
            known = there.files if there.listed else None
            signature = check_signature(there.folder, bounds.signed_by, files=known)
        spec = with_released_sample(spec, there.folder)
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
            progress=lambda done, total: report(
                f"comparing tensor {done} of {total} with the base"
            ),
        )
        release = replace(release, signature=signature)
        return _ComparedRelease(
            spec=spec,
            release=replace(release, verdict=judge_release(release, bounds)),
            base=files[0].hashed(_MEANWHILE),
            edited=files[1].hashed(_MEANWHILE),
        )


def _base_choice(spec: Spec) -> ModelChoice:
    """Return the base that a release is compared with.

    Raises:
        SettingsError: none is named.
    """
    if spec.model is None:
        raise SettingsError(
            f"{spec.file}: no base to compare it with; give --eac-model or add model: to the spec"
        )
    return spec.model
