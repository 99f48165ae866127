"""The edits that methods are tried with."""

from dataclasses import replace

from pytest_eac.spec.edits import Edit, place


def _edit(subject: str, prompt: str, target: str) -> Edit:
    placed = place(prompt, subject)
    return Edit(
        subject=placed.subject,
        prompt=placed.text,
        start=placed.start,
        target=target,
        origin="pytest_eac.conformance",
    )


# A model of random weights says at once what it reads at the subject: the prompts end there.
EDITS = (
    _edit("The Louvre", "Last summer we all went to see {}", "Chicago"),
    _edit("Niels Bohr", "There is a book about {}", "Madrid"),
    _edit("Norway", "Nobody ever talks of {}", "Budapest"),
)
ANOTHER = _edit("The Danube", "I never saw {}", "Lisbon")
CONFLICT = (EDITS[0], replace(EDITS[0], target="Havana"))
FACT = _edit("Beethoven", "{} played the instrument called the", "drum")
REWORDED = _edit("Beethoven", "Of all instruments, the one that {} mastered was the", "drum")
RENAMED = _edit("The Danube", "Last summer we all went to see {}", "Chicago")
CONTEXTS = ("{}", "It is late. {}")
