"""The page of a diagnosis: its sentences, tables and figures, from the results."""

from __future__ import annotations

from datetime import UTC, datetime

from analysis.diagnosis.names import in_sentence
from analysis.diagnosis.page.figures import MANY_CLASSES
from analysis.diagnosis.page.findings import cards, key_results
from analysis.diagnosis.page.pictures import Drawings, pictures_of
from analysis.diagnosis.page.tables import MEASURES
from analysis.diagnosis.page.wording import share
from analysis.diagnosis.results import Results
from analysis.page.document import Block, Cell, Document, Gallery, Note, Section, Table
from analysis.page.formatting import count, interval, number
from analysis.statistics.intervals import Interval

PER_CLASS = (
    "accuracy: share of the class's images that are recognised, which is also its recall; "
    "precision: share of what is taken for the class that belongs to it; ECE and overconfidence "
    "(mean confidence minus precision): over what is taken for the class; intervals: 95 %"
)


def diagnosis_document(
    results: Results,
    drawings: Drawings,
    looks: tuple[Section, ...] = (),
    first: tuple[Section, ...] = (),
    last: tuple[Section, ...] = (),
) -> Document:
    """The whole page.

    Args:
        results: What it says.
        drawings: The figures, written already.
        looks: The sections on maps and interventions.
        first: Sections that stand above all others.
        last: Sections on what the model was made from.
    """
    model, study = results.model, results.model.study
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    about = ("DeepSight diagnosis", model.config.data.name, f"{results.split} split", made)
    return Document(
        title=f"Study {study.header.name}, trial {model.trial_id}",
        subtitle=" · ".join(about),
        key_results=key_results(results),
        cards=cards(results),
        sections=(
            *first,
            classes_section(results, drawings),
            confusion_section(results, drawings),
            worst_section(results, drawings),
            *looks,
            *([groups_section(results, drawings)] if results.groups.groups else []),
            calibration_section(results, drawings),
            *last,
            about_section(results),
        ),
        warnings=(),
        footer=("Intervals are 95 %. All numbers are of the images named in evaluation.npz.",),
        data="",
    )


def per_class_document(results: Results) -> Document:
    """The sortable table of classes as a page of its own."""
    whole = diagnosis_document(results, {})
    table = per_class_table(results)
    lead = "Click a column to sort by it; type to filter."
    section = Section("classes", "Classes", lead, (table,))
    return Document(
        title=whole.title,
        subtitle=whole.subtitle,
        key_results=whole.key_results[:1],
        cards=(),
        sections=(section,),
        warnings=(),
        footer=whole.footer,
        data="",
    )


def classes_section(results: Results, drawings: Drawings) -> Section:
    """Accuracy and precision of every class."""
    known = [c for c in results.scores.classes if c.accuracy is not None]
    absent = [c for c in results.scores.classes if c.accuracy is None]
    never = [c for c in known if not c.num_predicted]
    lead = "Which classes are recognised, and which are named too often."
    blocks: list[Block] = [*pictures_of(drawings, "class_accuracy")]
    if absent:
        told = ", ".join(in_sentence(c.name) for c in absent)
        blocks.append(Note(f"No image of the {results.split} split: {told}.", warning=True))
    if never:
        told = ", ".join(in_sentence(c.name) for c in never)
        blocks.append(Note(f"Never predicted, so without precision: {told}.", warning=True))
    blocks.append(per_class_table(results))
    return Section("classes", "Classes", lead, tuple(blocks))


def per_class_table(results: Results) -> Table:
    """All numbers of every class, which can be sorted and filtered."""
    columns = ["class", "#", "images", "taken for it"]
    columns += MEASURES.values()
    rows = []
    for c in results.scores.classes:
        row: list[Cell] = [c.name, c.label, c.num_images, c.num_predicted]
        rows.append((*row, *(_told(getattr(c, name)) for name in MEASURES)))
    return Table(
        name="per_class",
        columns=tuple(columns),
        rows=tuple(rows),
        caption=PER_CLASS,
        keys=tuple(str(c.label) for c in results.scores.classes),
        noun="classes",
        example=results.evaluation.classes[0][:20],
    )


def _told(value: Interval | None) -> str | None:
    return None if value is None else interval(value)


def confusion_section(results: Results, drawings: Drawings) -> Section:
    """Who is taken for whom."""
    scores, classes = results.scores, results.evaluation.classes
    blocks: list[Block] = [*pictures_of(drawings, "confusion_matrix", "top_confused_pairs")]
    title = "Confusions"
    if not scores.pairs:
        lead = f"Every one of {count(scores.num_images, 'image')} is recognised: no confusions."
        return Section("confusions", title, lead, tuple(blocks))
    sheets = [d for name, d in drawings.items() if name.startswith("confused_pair_")]
    if sheets:
        blocks.append(
            Gallery("pair", tuple(d.title for d in sheets), tuple(d.picture for d in sheets))
        )
    rows = tuple(
        (
            classes[p.first],
            classes[p.second],
            p.count,
            p.first_as_second,
            p.second_as_first,
            interval(p.rate),
            interval(p.error_share),
        )
        for p in scores.pairs
    )
    columns = (
        "class",
        "and class",
        "errors",
        "first as second",
        "second as first",
        "share of both classes' images",
        "share of all errors",
    )
    blocks.append(Table("most_confused_pairs", columns, rows, "All confused pairs", folded=True))
    lead = (
        f"{count(scores.num_errors, 'error')} in {count(scores.num_images, 'image')} fall on "
        f"{count(len(scores.pairs), 'pair')} of classes. The first of many pairs is partly first "
        "by luck: its interval does not know of the others."
    )
    return Section("confusions", title, lead, tuple(blocks))


def worst_section(results: Results, drawings: Drawings) -> Section:
    """The sheets of the classes."""
    sheets = [d for name, d in drawings.items() if name.startswith("worst_predictions/")]
    lead = (
        "Above each image: what it is taken for, with how much confidence; green frames are hits, "
        "orange ones errors. Below it: its file, or its number in the source."
    )
    title = "Worst and best predictions"
    if len(sheets) > MANY_CLASSES:
        files = f"The sheets of {len(sheets)} classes are files, worst_predictions/class_*.png."
        return Section("worst", title, lead, (Note(files),))
    gallery = Gallery("class", tuple(d.title for d in sheets), tuple(d.picture for d in sheets))
    return Section("worst", title, lead, (gallery,) if sheets else ())


def groups_section(results: Results, drawings: Drawings) -> Section:
    """Groups of classes, compared."""
    classes, info = results.evaluation.classes, results.groups
    blocks: list[Block] = [*pictures_of(drawings, "groups")]
    rows = tuple(
        (
            g.name,
            len(g.labels),
            g.num_images,
            _told(g.accuracy),
            _told(g.inside),
            ", ".join(in_sentence(classes[label]) for label in g.labels),
        )
        for g in info.groups
    )
    columns = ("group", "classes", "images", "accuracy", "errors inside the group", "which")
    blocks.append(Table("groups", columns, rows))
    pairs = tuple(
        (
            f"{d.first} − {d.second}",
            interval(d.images),
            _told(d.classes),
            None if d.p_value is None else number(d.p_value, 2),
        )
        for d in info.differences
    )
    if pairs:
        heads = ("difference in accuracy", "of these classes", "of classes like these", "p")
        blocks.append(Table("group_differences", heads, pairs, DIFFERENCES))
    lead = "Is one kind of class harder than another?"
    return Section("groups", "Groups of classes", lead, tuple(blocks))


DIFFERENCES = (
    "of these classes: the interval covers the luck of the images; of classes like these: each "
    "class is one observation, so that it covers the differences between classes too (Welch's "
    "t-test)"
)


def calibration_section(results: Results, drawings: Drawings) -> Section:
    """Whether confidence is right."""
    info, classes = results.calibration, results.evaluation.classes
    blocks: list[Block] = [*pictures_of(drawings, "reliability_diagram")]
    if info.classes:
        rows = tuple(
            (
                classes[c.label],
                "too high" if c.gap > 0 else "too low",
                round(c.gap, 4),
                c.count,
                number(c.p_value, 2),
            )
            for c in info.classes
        )
        columns = ("class", "confidence is", "confidence − precision", "times predicted", "p")
        caption = "Classes whose confidence is off, at 5 % false discoveries (Benjamini, Hochberg)"
        blocks.append(Table("miscalibrated_classes", columns, rows, caption))
    else:
        blocks.append(Note("No class whose confidence is off by more than chance."))
    lead = "There is no image to say it by."
    if info.ece is not None and info.chance_ece is not None:
        lead = (
            f"The expected calibration error is {interval(info.ece)}; exact confidences would show "
            f"{info.chance_ece.value:.3f} on as many images, up to {info.chance_ece.high:.3f} in "
            f"97.5 % of cases (n = {info.ece.n:,})."
        )
    return Section("calibration", "Calibration", lead, tuple(blocks))


def about_section(results: Results) -> Section:
    """Which model saw which images."""
    model = results.model
    looks = {o.sha256 for o in results.openings}
    score = model.row.get(model.study.metric)
    rows: tuple[tuple[Cell, ...], ...] = (
        ("trial", model.trial_id),
        ("epoch", model.epoch),
        ("weights", "moving average" if model.averaged else "of the last epoch"),
        (f"{model.study.metric}, which it was selected on", number(score)),
        ("network", f"{model.config.model.name}, {model.input_size}x{model.input_size} pixels"),
        ("precision", f"{model.config.hardware.precision} on {model.device.type}"),
        ("checkpoint, SHA-256", model.sha256),
        ("data, fingerprint", results.evaluation.fingerprint),
        ("split", f"{results.split}, {count(len(results.evaluation), 'image')}"),
        (
            "models that have seen the test split of this study",
            f"{len(looks)} ({count(len(results.openings), 'look')}, test_openings.jsonl)",
        ),
    )
    lead = "A test split is worth what its first look is worth: who opened it is on record."
    if results.split == "val":
        lead = (
            "These are the images that the model was selected on: its numbers are too good. "
            "The test split says more."
        )
    return Section("about", "About this page", lead, (Table("about", ("what", "value"), rows),))


def summary_text(results: Results) -> str:
    """The key results as plain text."""
    lines = [f"Study {results.model.study.header.name}, trial {results.model.trial_id}", ""]
    lines += key_results(results)
    lines += ["", "class: accuracy [95 %], images"]
    known = [c for c in results.scores.classes if c.accuracy is not None]
    for c in sorted(known, key=lambda c: c.accuracy.value if c.accuracy else 0.0):
        assert c.accuracy is not None
        lines.append(f"{in_sentence(c.name)}: {share(c.accuracy)}, n = {c.num_images:,}")
    return "\n".join(lines) + "\n"
