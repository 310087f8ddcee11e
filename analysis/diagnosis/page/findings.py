"""The sentences and cards on top of a diagnosis, each with its interval and n."""

from __future__ import annotations

from analysis.diagnosis.names import in_sentence
from analysis.diagnosis.page.wording import points, share
from analysis.diagnosis.results import Results
from analysis.page.document import Card
from analysis.page.formatting import bounds, count, interval, number
from analysis.statistics.intervals import Interval, accuracy_interval


def key_results(results: Results) -> tuple[str, ...]:
    """What was found, a sentence each, the most important first."""
    scores, split = results.scores, results.split
    if scores.accuracy is None:
        return (f"The {split} split holds no image.",)
    said = [
        f"{100 * scores.accuracy.value:.1f} % of {count(scores.num_images, f'{split} image')} are "
        f"recognised (95 %: {100 * scores.accuracy.low:.1f} to {100 * scores.accuracy.high:.1f})."
    ]
    said += [*_worst_class(results), *_worst_pair(results), *_groups(results)]
    return (*said, *_calibration(results))


def _name(results: Results, label: int) -> str:
    return in_sentence(results.evaluation.classes[label])


def _worst_class(results: Results) -> list[str]:
    known = [c for c in results.scores.classes if c.accuracy is not None]
    if not results.scores.num_errors:
        return ["There is no error: this split cannot tell the model from a perfect one."]
    ranked = sorted(known, key=lambda c: c.accuracy.value if c.accuracy else 0.0)
    worst, best = ranked[0], ranked[-1]
    assert worst.accuracy is not None
    assert best.accuracy is not None
    return [
        f"Hardest class: {_name(results, worst.label)}, {share(worst.accuracy)} of "
        f"{count(worst.num_images, 'image')}; easiest: {_name(results, best.label)}, "
        f"{share(best.accuracy)} of {count(best.num_images, 'image')}."
    ]


def _worst_pair(results: Results) -> list[str]:
    if not results.scores.pairs:
        return []
    pair = results.scores.pairs[0]
    return [
        f"Most confused: {_name(results, pair.first)} and {_name(results, pair.second)}, "
        f"{share(pair.error_share)} of {count(results.scores.num_errors, 'error')}."
    ]


def _groups(results: Results) -> list[str]:
    """Differences that hold for classes like these, or at least for these classes."""
    said = []
    for d in results.groups.differences:
        first, second = in_sentence(d.first), in_sentence(d.second)
        better, worse = (first, second) if d.images.value >= 0 else (second, first)
        if not d.images.excludes_zero:
            continue
        sentence = (
            f"Group {better} is recognised better than {worse} by {points(d.images.magnitude)}"
        )
        if d.classes is None:
            said.append(f"{sentence}, n = {d.images.n:,} images.")
        elif d.classes.excludes_zero:
            said.append(
                f"{sentence}, n = {d.images.n:,} images; it holds for classes like these too "
                f"({points(d.classes.magnitude)}, n = {d.classes.n} classes)."
            )
        else:
            said.append(
                f"{sentence}, n = {d.images.n:,} images; the classes inside the groups differ so "
                "much that nothing follows for other classes."
            )
    return said


def _calibration(results: Results) -> list[str]:
    info = results.calibration
    if info.ece is None or info.chance_ece is None:
        return []
    if info.ece.low == 0:
        return [
            f"Confidence is right as far as {count(info.ece.n, 'image')} can tell (ECE "
            f"{interval(info.ece)}; exact confidences would show {info.chance_ece.value:.3f})."
        ]
    gap = results.evaluation.confidence.mean() - results.evaluation.hits.mean()
    kind = "too high" if gap > 0 else "too low"
    return [
        f"Confidence is {kind}, by {100 * abs(gap):.1f} points on average (ECE "
        f"{interval(info.ece)}; exact confidences would show {info.chance_ece.value:.3f}; "
        f"n = {info.ece.n:,})."
    ]


def cards(results: Results) -> tuple[Card, ...]:
    """The key numbers."""
    scores, study = results.scores, results.model.study
    made: list[Card] = []
    if scores.accuracy is not None and scores.macro_f1 is not None:
        made.append(_card(f"{results.split} accuracy", scores.accuracy))
        made.append(_card("macro F1", scores.macro_f1))
    made.append(Card("errors", str(scores.num_errors), f"of {count(scores.num_images, 'image')}"))
    if results.calibration.ece is not None:
        made.append(_card("ECE", results.calibration.ece))
    score = results.model.row.get(study.metric)
    if isinstance(score, int | float):
        images = study.header.num_images("val")
        detail = "selected on: too good by the search"
        if study.metric == "val_accuracy" and images and results.split == "test":
            within = accuracy_interval(float(score), images)
            detail = f"selected on; 95 %: {within.low:.3f} to {within.high:.3f}"
        made.append(Card(study.metric, number(float(score)), detail))
    return tuple(made)


def _card(label: str, value: Interval) -> Card:
    return Card(label, f"{value.value:.3f}", f"{bounds(value)}, n = {value.n:,}")
