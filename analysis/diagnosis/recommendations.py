"""What to do about findings: settings that are ready to use, and images to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.diagnosis import findings as kinds
from analysis.diagnosis.findings import Finding, Findings
from analysis.diagnosis.names import in_sentence
from analysis.page.formatting import count, interval
from deepsight.config import TrialConfig

MAX_FILES = 200
"""Names listed in ``recommendations.md``; the rest are counted."""

NOTHING = "No defect of the data was found"


@dataclass(frozen=True)
class Remedy:
    """Something to do.

    Attributes:
        text: In words.
        settings: ``--set`` arguments of a new search, as `name=value`; may be empty.
    """

    text: str
    settings: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """What to type; empty without settings."""
        return " ".join(f"--set {_quoted(setting)}" for setting in self.settings)


def _quoted(setting: str) -> str:
    """As a shell takes it: class names are a user's text."""
    plain = all(c.isalnum() or c in "._:=,#-" for c in setting)
    return setting if plain else "'" + setting.replace("'", "'\\''") + "'"


def remedies(
    finding: Finding, classes: Sequence[str], config: TrialConfig, stored_size: int = 0
) -> tuple[Remedy, ...]:
    """What helps against a finding, what is cheapest to try first.

    Args:
        finding: From `analysis.diagnosis.findings.find`.
        classes: Names by label.
        config: Of the diagnosed trial: what it has already is not recommended.
        stored_size: Side in pixels of the stored images; 0 if unknown.
    """
    made = REMEDIES[finding.kind](finding, classes, config)
    hard = finding.kind in (kinds.CONFUSED, kinds.WEAK)
    if hard and 0 < _seen(config, stored_size) < stored_size:
        made += (Remedy("Let the network see more pixels.", (f"data.image_size={stored_size}",)),)
    return made


def _seen(config: TrialConfig, stored_size: int) -> int:
    return config.data.image_size or stored_size


def _shortcut(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    name = in_sentence(classes[finding.labels[0]])
    what = {
        kinds.BACKGROUND: "in other surroundings",
        kinds.CORNER: "without what its corners show, or cut it off before the training",
        kinds.PLACE: "at other places and sizes",
    }[finding.kind]
    setting = (
        Remedy("Vary place and size in training.", ("augment.strength=1.0", "augment.scale=0.5"))
        if finding.kind == kinds.PLACE
        else Remedy("Mix parts of different classes in training.", ("augment.mix=cutmix",))
    )
    known = finding.kind != kinds.PLACE and config.augment.mix == "cutmix"
    return (*(() if known else (setting,)), Remedy(f"Collect images of {name} {what}."))


def _labels(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    look = f"Check the labels of the {count(len(finding.files), 'image')} listed below."
    softer = Remedy("Until then, trust labels less.", ("loss.name=label_smoothing",))
    return (Remedy(look), softer)


def _rare(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    name = in_sentence(classes[finding.labels[0]])
    collect = Remedy(f"Collect more images of {name}.")
    if config.loss.name == "class_weighted":
        return (collect,)
    settings = ("loss.name=class_weighted", "study.metric=val_macro_f1")
    return (Remedy("Let every class count alike.", settings), collect)


def _shift(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    return (
        Remedy(
            "Find out how the test images were made: scores on val say nothing of them. If they "
            "are what the model will see, add such images to the train split."
        ),
        Remedy("Train for other light, place and sharpness.", ("augment.strength=1.0",)),
    )


def _copies(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    return (Remedy("Remove the images listed below, or keep copies in one split."),)


def _confused(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    pair = ":".join(pair_name(classes[i], i) for i in finding.labels)
    return (Remedy("Mine hard examples of the pair.", (f"train.focus_pairs={pair}",)),)


def pair_name(name: str, label: int) -> str:
    """How ``train.focus_pairs`` names a class: by its label where the name has its separators."""
    odd = set(":,") & set(name) or name != name.strip() or name.startswith("#") or not name
    return f"#{label}" if odd or not name.isprintable() else name


def _weak(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    name = in_sentence(classes[finding.labels[0]])
    focus = Remedy("Weigh hard images more.", ("loss.name=focal",))
    more = Remedy(f"Collect more images of {name}.")
    return (more,) if config.loss.name == "focal" else (focus, more)


def _corners(finding: Finding, classes: Sequence[str], config: TrialConfig) -> tuple[Remedy, ...]:
    name = in_sentence(classes[finding.labels[0]])
    look = f"Look at the corners of images of {name}: do they show more than the objects?"
    return (Remedy(look), Remedy("Masks of the objects would tell (data.masks=PATH)."))


REMEDIES: dict[str, Callable[[Finding, Sequence[str], TrialConfig], tuple[Remedy, ...]]] = {
    kinds.BACKGROUND: _shortcut,
    kinds.CORNER: _shortcut,
    kinds.PLACE: _shortcut,
    kinds.LABELS: _labels,
    kinds.RARE: _rare,
    kinds.SHIFT: _shift,
    kinds.COPIES: _copies,
    kinds.CONFUSED: _confused,
    kinds.WEAK: _weak,
    kinds.CORNERS: _corners,
}

CAUSES = {
    kinds.BACKGROUND: "The background gives {} away",
    kinds.CORNER: "Something in the corners gives {} away",
    kinds.PLACE: "Place or size gives {} away",
    kinds.LABELS: "Labels of {} are exchanged, or no image tells them apart",
    kinds.RARE: "There are few images of {}",
    kinds.SHIFT: "Test images differ from validation images",
    kinds.COPIES: "Images are copies of train images",
    kinds.CONFUSED: "{} are confused more than other classes",
    kinds.WEAK: "{} is recognised worse than other classes",
    kinds.CORNERS: "Corners decide for {}: its objects reach there, or something else does",
}


_FAMILY = {
    **dict.fromkeys(kinds.DEFECTS, "for defects"),
    kinds.LABELS: "of pairs of labels",
    **dict.fromkeys(kinds.HINTS, "for hints"),
}
"""The family of tests over which a p-value is corrected (`analysis.diagnosis.findings`)."""


def _named(finding: Finding, text: str, classes: Sequence[str]) -> str:
    names = " and ".join(in_sentence(classes[label]) for label in finding.labels)
    return text.replace("{}", names)


def sentence(finding: Finding, classes: Sequence[str]) -> str:
    """Cause, number, interval and n of a finding."""
    p_value = "p < 0.001" if finding.p_value < 0.001 else f"p = {finding.p_value:.3f}"
    family = _FAMILY[finding.kind]
    return (
        f"{_named(finding, CAUSES[finding.kind], classes)}: "
        f"{_named(finding, finding.measure, classes)}: {interval(finding.number)}, "
        f"n = {finding.number.n:,}; {p_value} after correction for all tests {family}."
    )


def summary_sentences(findings: Findings, classes: Sequence[str]) -> tuple[str, ...]:
    """A sentence for every finding; that there is no defect, or no test for it, is one, too."""
    said = [sentence(f, classes) for f in findings.items]
    if not findings.defects:
        said.insert(0, f"{NOTHING} ({count(findings.num_tests, 'test')}).")
    return (*said, *(f"Not tested: {reason}." for reason in findings.not_measured))


def recommendations_text(
    findings: Findings, classes: Sequence[str], config: TrialConfig, stored_size: int = 0
) -> str:
    """``recommendations.md``: every finding with its number, its remedies and its images.

    Args:
        findings: From `analysis.diagnosis.findings.find`.
        classes: Names by label.
        config: Of the diagnosed trial.
        stored_size: As `remedies`.
    """
    lines = ["# Recommendations", ""]
    if not findings.defects:
        lines += [f"{NOTHING} ({count(findings.num_tests, 'test')}).", ""]
    for finding in findings.items:
        lines += [f"## {_named(finding, CAUSES[finding.kind], classes)}", ""]
        lines += [sentence(finding, classes), *([finding.note] if finding.note else []), ""]
        for remedy in remedies(finding, classes, config, stored_size):
            line = f" `{remedy.line}`" if remedy.settings else ""
            lines.append(f"- {remedy.text}{line}")
        if finding.files:
            lines += ["", "Images:", ""]
            lines += [f"    {name}" for name in finding.files[:MAX_FILES]]
            more = len(finding.files) - MAX_FILES
            lines += [f"    and {more} more"] * (more > 0)
        lines.append("")
    if findings.not_measured:
        lines += ["## Not tested", "", *(f"- {reason}" for reason in findings.not_measured), ""]
    return "\n".join(lines)
