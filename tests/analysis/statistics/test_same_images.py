"""Trials on the same images: intervals of pairs, and of the best of many."""

import zipfile

import numpy as np
import pytest

from analysis.statistics.comparison import compute_comparison
from analysis.statistics.incumbent import compute_incumbent
from analysis.statistics.intervals import share_difference
from analysis.statistics.same_images import (
    MOST_AT_ONCE,
    MOST_READ,
    OUT_OF_REACH,
    SINGLE_Z,
    bound_z,
    compare_hits,
    difference_of_bests,
    largest_z,
    paired_interval,
    phi_coefficient,
)
from benchmarks.best_of_many import WAYS, measure
from deepsight.files import FileRefusedError
from deepsight.run_store.predictions import MOST_BYTES, write_predictions
from tests.analysis.studies import hand_study, ramp, trial

IMAGES = 400
DATA = {"counts": {"val": {"cat": 200, "dog": 200}}}


def counted(both, first, second, neither):
    """The hits of two trials from the four counts of a table."""
    a = np.repeat([True, True, False, False], (both, first, second, neither))
    b = np.repeat([True, False, True, False], (both, first, second, neither))
    return a, b


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # Newcombe (1998), method 10
        ((36, 14, 0, 0), 0.1528, 0.4167),
    ],
)
def test_the_interval_of_a_pair_is_the_published_one(table, low, high):
    a, b = counted(*table)
    found = paired_interval(a.mean(), b.mean(), phi_coefficient(a, b), len(a), SINGLE_Z)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    turned = paired_interval(b.mean(), a.mean(), phi_coefficient(b, a), len(a), SINGLE_Z)
    assert (-turned.high, -turned.low) == pytest.approx((low, high), abs=1e-4)


def test_alike_answers_narrow_the_interval():
    a, b = counted(300, 30, 10, 60)
    alone = share_difference(330, IMAGES, 310, IMAGES)
    pair = paired_interval(a.mean(), b.mean(), phi_coefficient(a, b), IMAGES, 1.96)
    assert pair.high - pair.low < 0.6 * (alone.high - alone.low)
    unrelated = paired_interval(0.825, 0.775, 0.0, IMAGES, SINGLE_Z)
    assert (unrelated.low, unrelated.high) == pytest.approx((alone.low, alone.high))


def test_more_comparisons_need_more_standard_errors():
    rng = np.random.default_rng(0)
    independent = rng.normal(size=(100, 5000))

    assert largest_z(independent[:1]) == pytest.approx(1.96, abs=1e-3)
    # the maximum of independent ones
    assert largest_z(independent) == pytest.approx(bound_z(100), abs=0.05)
    assert largest_z(np.tile(independent[:1], (100, 1))) == pytest.approx(1.96, abs=0.05)
    assert largest_z(np.zeros((3, 50))) == pytest.approx(1.96, abs=1e-3)
    # Dunnett (1955): nine treatments against a control, 95 % two-sided, many observations
    control = np.eye(10)[:9] - np.eye(10)[9]
    assert largest_z(control) == pytest.approx(2.69, abs=0.03)
    assert bound_z(MOST_READ) < OUT_OF_REACH


def test_far_worse_trials_are_no_rivals_and_cost_nothing():
    rng = np.random.default_rng(1)
    hits = {f"t{k}": rng.random(IMAGES) < p for k, p in enumerate([0.8, 0.85, *[0.3] * 40])}
    same = compare_hits({name: float(h.mean()) for name, h in hits.items()}, IMAGES, hits)
    assert set(same.rivals) == {"t0", "t1"}
    assert same.z_against("t0") == pytest.approx(1.96, abs=1e-3)


@pytest.mark.parametrize("hardness", [0.0, 0.75])
def test_the_best_of_many_alike_is_seldom_called_better(hardness):
    row = measure("alike", 20, hardness, rounds=60)
    above = dict(zip(WAYS, row.above, strict=True))
    assert max(above["best of many"], above["without predictions"]) <= 0.08  # 2.5 % are due
    assert above["pair"] > 0.1  # what picking does if nobody minds it


def test_bests_of_two_studies_are_both_picked():
    rng, better = np.random.default_rng(2), 0
    for _ in range(50):
        shared = rng.normal(size=IMAGES)  # some images are harder; all trials are alike
        hits = (shared + rng.normal(size=(16, IMAGES)) < 1.2).astype(bool)
        sides = []
        for rows in (hits[:15], hits[15:]):  # the best of fifteen, and of one
            named = {f"t{k}": row for k, row in enumerate(rows)}
            sides.append(
                compare_hits({k: float(r.mean()) for k, r in named.items()}, IMAGES, named)
            )
        found = difference_of_bests(*sides)
        turned = difference_of_bests(*reversed(sides))
        assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low), abs=0.003)
        better += found.low > 0
    assert better <= 4  # one or two are due


def study_of(tmp_path, hits, name="s"):
    """A study whose trials of full budget have these hits; the first is the defaults."""
    study = hand_study(
        tmp_path / name,
        [trial([float(h.mean())] * 9) for h in hits],
        data=DATA,
    )
    for record, row in zip(study.records, hits, strict=True):
        folder = study.directory / "trials" / record.trial_id
        folder.mkdir(parents=True)
        store(folder, row)
    return study


def store(folder, hits):
    labels = np.zeros(len(hits), np.int64)
    probabilities = np.where(hits[:, None], [0.9, 0.1], [0.2, 0.8]).astype(np.float16)
    write_predictions(folder, {"probabilities": probabilities, "labels": labels})


def some_hits():
    a, b = counted(300, 30, 10, 60)
    return [b, a]


def test_a_study_with_predictions_is_compared_in_pairs(tmp_path):
    hits = some_hits()
    info = compute_incumbent(study_of(tmp_path, hits))
    expected = paired_interval(0.825, 0.775, phi_coefficient(*hits), IMAGES, SINGLE_Z)
    assert (info.gain.low, info.gain.high) == pytest.approx((expected.low, expected.high))
    assert info.gain.low > 0
    assert share_difference(330, IMAGES, 310, IMAGES).low < 0  # the pairing tells it
    assert info.contenders == ()


@pytest.mark.parametrize("fault", ["absent", "torn", "of another epoch", "of other images", "flat"])
def test_without_fitting_predictions_trials_are_independent(tmp_path, fault, caplog):
    study = study_of(tmp_path, some_hits())
    folder = study.directory / "trials" / "t0001"
    file = folder / "predictions.npz"
    if fault == "absent":
        file.unlink()
    elif fault == "torn":
        file.write_bytes(file.read_bytes()[:500])
    elif fault == "of another epoch":
        store(folder, np.arange(IMAGES) < 200)
    elif fault == "of other images":
        store(folder, np.arange(IMAGES + 1) < 330)
    else:
        write_predictions(folder, {"probabilities": np.zeros(3), "labels": np.zeros(3)})
    gain, alone = compute_incumbent(study).gain, share_difference(330, IMAGES, 310, IMAGES)
    assert (gain.low, gain.high) == pytest.approx((alone.low, alone.high))
    assert ("predictions.npz is left out" in caplog.text) == (
        fault in ("torn", "flat", "of other images")
    )


def test_more_trials_than_are_looked_at_take_the_bound():
    alike = {f"t{k}": 0.8 for k in range(MOST_AT_ONCE + 2)}
    many = compare_hits(alike, IMAGES, {})
    assert many.z_against("t0") == bound_z(MOST_AT_ONCE + 1)
    found = difference_of_bests(many, compare_hits({"t0": 0.8}, IMAGES, {}))
    assert found.high > paired_interval(0.8, 0.8, 0.0, IMAGES, 3.5).high


@pytest.mark.parametrize("scores", [(70, 80), (0.5, 1e308), (-0.1, 0.5)])
def test_percentages_are_no_shares_of_images(tmp_path, scores):
    made = [hand_study(tmp_path / n, [trial([s] * 9) for s in scores], data=DATA) for n in "ab"]
    info = compute_incumbent(made[0])
    assert (info.num_val, info.score, info.gain, info.contenders) == (None, None, None, ())
    assert compute_comparison(made).pairs[0].gain is None


@pytest.mark.parametrize("name", ["probabilities", "labels"])
@pytest.mark.parametrize(
    ("kind", "shape"), [("|S0", (IMAGES, 10**12)), ("|O", (IMAGES, 2)), ("<f2", (10**15, 2))]
)
def test_arrays_that_are_not_ours_are_neither_looped_over_nor_unpickled(
    tmp_path, name, kind, shape, caplog
):
    study = study_of(tmp_path, some_hits())
    file = study.directory / "trials" / "t0001" / "predictions.npz"
    other = "labels" if name == "probabilities" else "probabilities"
    with zipfile.ZipFile(file, "w") as archive, archive.open(f"{name}.npy", "w") as entry:
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(entry, header)
    with zipfile.ZipFile(file, "a") as archive, archive.open(f"{other}.npy", "w") as entry:
        np.lib.format.write_array(entry, np.zeros(IMAGES, np.int64))
    assert compute_incumbent(study).gain is not None
    assert "predictions.npz is left out" in caplog.text


def test_a_sparse_file_is_not_read(tmp_path, caplog):
    study = study_of(tmp_path, some_hits())
    file = study.directory / "trials" / "t0001" / "predictions.npz"
    archive = file.read_bytes()
    with file.open("wb") as sparse:  # an archive is read from its end
        sparse.seek(MOST_BYTES)
        sparse.write(archive)
    assert compute_incumbent(study).gain is not None
    assert "are read" in caplog.text


def test_a_link_in_place_of_predictions_is_refused(tmp_path):
    study = study_of(tmp_path, some_hits())
    file = study.directory / "trials" / "t0001" / "predictions.npz"
    elsewhere = file.rename(tmp_path / "elsewhere.npz")
    file.symlink_to(elsewhere)
    with pytest.raises(FileRefusedError, match="is a link"):
        compute_incumbent(study)


def test_contenders_are_those_that_the_images_cannot_tell_from_the_best(tmp_path):
    best, defaults = counted(330, 30, 0, 40)
    near = best.copy()
    near[:3] = False
    info = compute_incumbent(study_of(tmp_path, [defaults, best, near]))
    assert info.contenders == ("t0002",)
    many = hand_study(tmp_path / "many", [trial(ramp(0.9 - k / 1000)) for k in range(3)], data=DATA)
    assert compute_incumbent(many).contenders == ("t0001", "t0002")  # no predictions at all
