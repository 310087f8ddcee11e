"""No number of a summary or report depends on the unit of the metric, its zero, or its sign.

A study is written again with every score changed by an affine map. Scores have to follow the map,
differences its scale, and all else (shares, ranks, counts, verdicts, sentences) must not change.
"""

import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from analysis.importance.sensitivity import compute_sensitivity
from analysis.page.document import Table
from analysis.report.data import as_data
from analysis.report.findings import compute_findings
from analysis.report.key_results import cards, key_results
from analysis.report.sensitivity_sections import effects_section
from analysis.report.study_results import compute_study_results
from analysis.summary import summary_lines
from deepsight.run_store import Study, StudyHeader, TrialRecord
from deepsight.space import choice, loguniform, sample, uniform

SPACE = {
    "optim.lr": loguniform(1e-4, 1e-1),
    "optim.name": choice("adamw", "sgd"),
    "model.dropout": uniform(0.0, 0.5),
}
MAPS = {
    "x 1e6": (1e6, 0.0, "max"),
    "x 1e-6": (1e-6, 0.0, "max"),
    "x 1e-6 shifted": (1e-6, 2e-7, "max"),
    "shifted": (1.0, 100.0, "max"),
    "negated": (-1.0, 0.0, "min"),
    "negated x 1e-6": (-1e-6, 0.0, "min"),
}
"""Scale, zero and mode."""
SCORE = re.compile(
    r"(^|\.)((incumbent|baseline)\.score|target|lowest_kept|best_stopped|score_low|score_high"
    r"|(curves|steps|trials|lines)\.\d+\.scores?(\.\d+)?|trajectory\.baseline"
    r"|(points\.\d+|inactive)\.(mean|low|high)|maps\.\d+\.mean\.\d+\.\d+)$"
)
"""Paths of numbers that are scores."""
DIFFERENCE = re.compile(r"^(?!views\.(survival|epoch)).*(rmse|maps\.\d+\.sd\.\d+\.\d+)$")
"""Paths of numbers that are differences of scores."""
GAIN = re.compile(r"(gain|gain_low|gain_high|target_gap|search_gain\.(value|low|high))$")
"""Differences that are positive for the better, whatever the sign of the metric."""
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
"""In a text; not the digits of a trial's id."""


def trials(scale=1.0, zero=0.0):
    """Thirty random configs; the learning rate decides. Scores are below 0 and above 1, too."""
    rng = Random(3)
    for number in range(30):
        config = sample(SPACE, {}, rng)
        explorer = number % 3 == 1
        state, epochs = "completed", 4
        if number % 5 == 3 and not explorer:
            state, epochs = "stopped", 1 + number % 2
        if number in (8, 18, 26, 29):
            state, epochs = "failed", 1
        final = config["optim.lr"] ** 0.25 * 4 - 1 + (config["optim.name"] == "sgd") * 0.3
        rows = [
            {
                "epoch": epoch,
                "time": 100.0 * number + epoch,
                "wall_s": 1.0 + number % 7,
                "score": scale * (final * epoch / 4 + rng.gauss(0, 0.05)) + zero,
            }
            for epoch in range(1, epochs + 1)
        ]
        yield TrialRecord(
            trial_id=f"t{number:04d}",
            config=config,
            explorer=explorer,
            budget=4,
            started=100.0 * number,
            state=state,
            ended=100.0 * number + 50,
            error="RuntimeError" if state == "failed" else None,
            rows=rows,
        )


def study(scale=1.0, zero=0.0, mode="max"):
    header = StudyHeader(
        name="invariant",
        metric="score",
        mode=mode,
        max_epochs=4,
        rungs=(1, 2, 4),
        fixed={},
        space=SPACE,
        target=scale * 0.75 + zero,
        reduction_factor=2,
        scheduler="asha_stop",
    )
    return Study(Path("none"), header, list(trials(scale, zero)))


def leaves(value, path=""):
    """Every number and text below `value`, by its path."""
    if isinstance(value, dict):
        return {p: v for k, x in value.items() for p, v in leaves(x, f"{path}.{k}").items()}
    if isinstance(value, list | tuple):
        return {p: v for k, x in enumerate(value) for p, v in leaves(x, f"{path}.{k}").items()}
    return {path.lstrip("."): value}


def results_of(scale=1.0, zero=0.0, mode="max"):
    """All that a report computes but for the surrogate, which three trials are too few for."""
    made = study(scale, zero, mode)
    sensitivity = compute_sensitivity(replace(made, records=made.records[:3]))
    return compute_study_results(made, sensitivity=sensitivity)


PARTS = ("summary", "incumbent", "trajectory", "coordinates", "early_stopping", "cost")


def numbers(data):
    """Every number of `data`, by its path."""
    return {p: v for p, v in leaves(as_data(data)).items() if isinstance(v, int | float)}


def counted(results):
    found = numbers({name: getattr(results, name) for name in PARTS})
    # positions of labels on the axes, which are round numbers of the unit
    return {path: value for path, value in found.items() if ".axes." not in path}


def follow(path, value, scale, zero):
    """What becomes of the number at `path` when scores are mapped."""
    if SCORE.search(path):
        return scale * value + zero
    if GAIN.search(path) or DIFFERENCE.search(path):
        return abs(scale) * value
    on_score_axis = re.search(rf"lines\.\d+\.positions\.{len(SPACE) + 1}$", path)
    if scale < 0 and on_score_axis and value >= 0:
        return 1 - value
    return value


def swapped(path, scale):
    """The same path, where low and high change places with the sign."""
    change = {"low": "high", "high": "low", "score_low": "score_high", "score_high": "score_low"}
    head, _, last = path.rpartition(".")
    return f"{head}.{change[last]}" if scale < 0 and SCORE.search(path) and last in change else path


def differing(plain, found, scale, zero, tolerance):
    """Numbers that do not follow the map: before, expected, found."""
    wrong = {}
    for path, value in plain.items():
        expected = follow(path, value, scale, zero)
        got = found.get(swapped(path, scale))
        unit = 1.0 if path == swapped(path, scale) and expected == value else abs(scale)
        if got != pytest.approx(expected, rel=tolerance, abs=tolerance * unit):
            wrong[path] = (value, expected, got)
    return wrong


@pytest.fixture(scope="module")
def plain():
    return results_of()


@pytest.fixture(scope="module", params=MAPS.values(), ids=MAPS)
def mapped(request):
    return request.param, results_of(*request.param)


def test_what_is_counted_and_compared_follows_the_unit(plain, mapped):
    (scale, zero, _), results = mapped
    before = counted(plain)
    assert len(before) > 500
    assert differing(before, counted(results), scale, zero, 1e-6) == {}


def said(results):
    """All sentences and cards but those of the surrogate."""
    found = [(f.text, f.unit) for f in compute_findings(results)]
    shown = [(c.label, c.value, c.detail) for c in cards(results)]
    return [
        *summary_lines(results.summary),
        *key_results(results),
        *(" ".join(parts) for parts in found + shown),
    ]


def worded(line):
    """The line without its numbers; a loss has a maximum where an accuracy has a minimum."""
    return NUMBER.sub("#", line).replace("maximum viable", "minimum viable")


def test_sentences_say_the_same_numbers_in_every_unit(plain, mapped):
    """Every number of a text is the one before, or that one mapped, to three digits."""
    (scale, zero, _), results = mapped
    before, after = said(plain), said(results)
    assert [worded(line) for line in after] == [worded(line) for line in before]
    kinds = {f.kind for f in compute_findings(plain)}
    assert {"search", "stopping"} & kinds
    for line, line_before in zip(after, before, strict=True):
        pairs = zip(NUMBER.findall(line), NUMBER.findall(line_before), strict=True)
        for shown, shown_before in pairs:
            value, old = (float(text.replace(",", "")) for text in (shown, shown_before))
            likely = [old, scale * old + zero, abs(scale) * old]
            assert any(value == pytest.approx(x, rel=2e-3, abs=0) for x in likely), (
                line,
                line_before,
            )


@pytest.fixture(scope="module")
def fitted():
    return compute_sensitivity(study())


@pytest.mark.slow
@pytest.mark.whole_chains
@pytest.mark.parametrize("name", ["x 1e-6 shifted"])
def test_what_is_fitted_follows_the_unit(fitted, name):
    """Not its sign: the draws of a negated metric are others of the same distribution."""
    scale, zero, mode = MAPS[name]
    found = compute_sensitivity(study(scale, zero, mode))
    assert differing(numbers(fitted), numbers(found), scale, zero, 0.02) == {}


@pytest.mark.slow
def test_the_gain_of_the_best_region_keeps_its_digits(plain):
    made = study(scale=1e-6)
    results = replace(plain, study=made, sensitivity=compute_sensitivity(made))
    blocks = effects_section(results).blocks
    (table,) = (b for b in blocks if isinstance(b, Table) and b.name == "best_regions")
    gains = {e.name: e.best.gain for e in results.sensitivity.effects.effects}
    assert {row[0]: row[2] for row in table.rows} == pytest.approx(gains, rel=1e-3, abs=0)
