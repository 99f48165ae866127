"""The model card of an export."""

from __future__ import annotations

import json

from pytest_eac.records.manifest import Manifest
from pytest_eac.untrusted_text import markdown

_LIBRARY = {"model": "transformers", "deltas": "pytest-eac", "lora": "peft"}
_WHAT = {
    "model": "This folder is the whole edited model. All tensors but those below, the "
    "configuration and the tokenizer are the base's.",
    "deltas": "This folder holds what the edits add to the base: `deltas.safetensors` as factors "
    "(`NAME.left`, `NAME.right`: `W += left @ right.T`; `NAME.dense`: `W += dense`), and "
    "`exact.safetensors` as differences of bit patterns, with which they are added and taken away "
    "again to the last bit.",
    "lora": "This folder is a PEFT adapter for the base.",
}
_ERROR = "Largest absolute difference of a weight from the edited model's: {:.3g}."
_USE = {
    "model": 'AutoModelForCausalLM.from_pretrained("THIS_FOLDER")',
    "deltas": "pytest-eac apply THIS_FOLDER BASE --out EDITED\n"
    "pytest-eac apply THIS_FOLDER EDITED --out UNEDITED --reverse",
    "lora": 'base = AutoModelForCausalLM.from_pretrained("BASE")\n'
    'PeftModel.from_pretrained(base, "THIS_FOLDER")',
}


def model_card(manifest: Manifest) -> str:
    """Return a model card in Markdown, with the metadata that the hub reads."""
    base = manifest.base
    lines = [
        "---",
        f"library_name: {_LIBRARY[manifest.form]}",
        f"base_model: {json.dumps(base.id)}",
        "tags: [model-editing, pytest-eac]",
        "---",
        f"# {markdown(base.id)}, edited: {markdown(manifest.spec)}",
        "",
        f"{len(manifest.edits)} edits by {markdown(manifest.method)} (seed {manifest.seed}), made "
        f"and measured by pytest-eac {markdown(manifest.version)}. {_WHAT[manifest.form]}",
        "",
        f"    {_USE[manifest.form]}".replace("\n", "\n    "),
        "",
        *([_ERROR.format(manifest.error), ""] if manifest.form == "lora" else []),
        f"Base weights {base.fingerprint[:12]}, edited weights {manifest.edited_fingerprint[:12]} "
        f"({markdown(base.dtype)}). `edit-manifest.json` has all of this for machines; with the "
        "spec, `pytest --eac-model=BASE --eac-edited=EDITED SPEC` holds the edited model to it.",
        "",
        "## Measured",
        "",
        "| check | outcome | observed | required |",
        "|---|---|---|---|",
    ]
    for found in manifest.verdicts:
        observed = "-" if found.observed is None else f"{found.observed:.4g}"
        cells = (found.check, found.outcome, observed, found.required)
        lines.append(f"| {' | '.join(map(markdown, cells))} |")
    lines += ["", "## Changed tensors", ""]
    lines += [f"- {markdown(name)}" for name in manifest.changed]
    lines += ["", "## Edits", "", "| prompt | target |", "|---|---|"]
    lines += [f"| {markdown(each.prompt)} | {markdown(each.target)} |" for each in manifest.edits]
    return "\n".join(lines) + "\n"
