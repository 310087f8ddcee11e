from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from torch import nn

from analysis.diagnosis.map_checks import imputation
from analysis.diagnosis.map_checks.baselines import (
    BLOB,
    EDGES,
    RANDOM,
    baseline_methods,
    blob_maps,
    edge_maps,
    explaining_methods,
)
from analysis.diagnosis.map_checks.imputation import DIAGONAL, DIRECT, blurred, fill_from_around
from analysis.diagnosis.map_checks.perturbation import TESTS, perturb, removal_order
from analysis.diagnosis.map_checks.randomisation import (
    layer_groups,
    randomise_cascading,
    spearman,
    ssim,
)
from analysis.diagnosis.map_checks.verdicts import (
    Comparison,
    Likeness,
    choose_images,
    compute_map_checks,
    judge,
)
from analysis.diagnosis.maps.layers import Layer, choose_layer
from analysis.diagnosis.maps.passes import predicted_classes
from analysis.statistics.intervals import Interval
from deepsight.config import trial_config
from deepsight.models.build import build_model

LAYER = Layer("x", 1, 4, 4)
GENERATOR = torch.Generator().manual_seed(0)


class OnePixel(nn.Module):
    """Two classes, told apart by the red of pixel (9, 17) alone."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, x):
        red = self.scale * x[:, 0, 9, 17]
        return torch.stack([-red, red], 1)


@pytest.fixture(scope="module")
def pictures():
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    images[:, 0, 9, 17] = images[:, 0, 9, 17].sign() * 1.5
    return images


def test_the_map_that_points_at_the_one_pixel_beats_all_others(pictures):
    model = OnePixel()
    predictions = predicted_classes(model, pictures)
    maps = {
        name: method(model, pictures, predictions)
        for name, method in baseline_methods(LAYER).items()
    }
    maps["right"] = np.zeros((40, 4, 4), np.float32)
    maps["right"][:, 1, 2] = 1  # pixel (9, 17) lies in cell (1, 2)
    maps["wrong"] = 1 - maps["right"]
    tested = {name: perturb(model, pictures, predictions, m) for name, m in maps.items()}
    for test, sign in (("deletion", 1), ("insertion", -1), ("ROAD", 1)):
        scores = {name: sign * t[test].scores.mean() for name, t in tested.items()}
        assert min(scores, key=scores.get) == "right", test
        assert max(scores, key=scores.get) == "wrong", test
    sure = 1 / (1 + np.exp(-2 * 4 * 1.5))  # before anything is taken away
    curve = tested["right"]["deletion"].values
    np.testing.assert_allclose(curve[:, 0], sure, atol=1e-5)
    # a mean colour near zero decides nothing, from the first step on
    assert np.abs(curve[:, 1:] - 0.5).max() < 0.2
    np.testing.assert_allclose(curve[:, 1:], curve[:, 1:2].repeat(8, axis=1), atol=1e-5)
    np.testing.assert_allclose(tested["wrong"]["insertion"].values[:, -1], sure, atol=1e-5)


def test_equal_cells_go_in_an_order_of_chance():
    maps = np.zeros((200, 1, 4), np.float32)
    maps[:, 0, 3] = 1
    order = removal_order(maps, 0)
    assert (order[:, 0, 3] == 0).all()
    assert set(order[:, 0, 0]) == {1, 2, 3}
    assert np.sort(order.reshape(200, 4), axis=1).tolist() == [[0, 1, 2, 3]] * 200


def direct_solution(image, missing):
    """The linear system of ROAD, solved by SciPy."""
    height, width = missing.shape
    number = -np.ones(missing.shape, int)
    number[missing] = np.arange(missing.sum())
    matrix, right = lil_matrix((missing.sum(), missing.sum())), np.zeros((missing.sum(), 3))
    for y, x in np.argwhere(missing):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                v, u = y + dy, x + dx
                if (dy, dx) == (0, 0) or not (0 <= v < height and 0 <= u < width):
                    continue
                weight = DIRECT if 0 in (dy, dx) else DIAGONAL
                matrix[number[y, x], number[y, x]] += weight
                if missing[v, u]:
                    matrix[number[y, x], number[v, u]] -= weight
                else:
                    right[number[y, x]] += weight * image[:, v, u]
    return spsolve(matrix.tocsr(), right)


def test_filling_from_around_solves_the_linear_system():
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    missing = torch.zeros(1, 16, 16, dtype=torch.bool)
    missing[0, 4:12, 8:16] = True
    missing[0, 0:3, 0:3] = True
    filled = fill_from_around(image, missing, GENERATOR, noise=0)
    expected = direct_solution(image[0].numpy(), missing[0].numpy())
    np.testing.assert_allclose(filled[0][:, missing[0]].T, expected, atol=5e-3)
    assert torch.equal(filled[0][:, ~missing[0]], image[0][:, ~missing[0]])
    nothing = fill_from_around(image, torch.ones_like(missing), GENERATOR, noise=0)
    assert not nothing.any()


def test_large_holes_are_filled_from_a_solution_at_half_the_size(monkeypatch):
    """The same solution, in fewer steps over all pixels than from the mean colour."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, 64, 64, generator=generator).cumsum(2).cumsum(3) / 20
    missing = torch.zeros(1, 64, 64, dtype=torch.bool)
    missing[0, 12:52, 4:44] = True
    steps = []
    neighbours = imputation._neighbours

    def counted(x):
        steps.append(x[0, 0].numel() / 64**2)
        return neighbours(x)

    monkeypatch.setattr(imputation, "_neighbours", counted)
    filled = fill_from_around(image, missing, GENERATOR, noise=0)
    coarse = sum(steps)
    expected = direct_solution(image[0].numpy(), missing[0].numpy())
    error = np.abs(filled[0][:, missing[0]].T.numpy() - expected)
    assert error.mean() < 0.01 * float(image.std())  # less than the noise that ROAD adds
    assert error.max() < 0.05 * float(image.std())
    steps.clear()
    monkeypatch.setattr(imputation, "COARSE", 65)
    fill_from_around(image, missing, GENERATOR, noise=0)
    assert coarse < 0.9 * sum(steps)  # 35.5 and 44; at 128 pixels 49 and 102


def test_blurring_keeps_what_is_constant_and_stays_within():
    image = torch.zeros(1, 1, 16, 16)
    image[..., 8:] = 5
    np.testing.assert_allclose(blurred(torch.full((1, 3, 16, 16), 2.0)), 2, rtol=1e-5)
    within = torch.zeros(1, 16, 16, dtype=torch.bool)
    within[..., :8] = True
    assert blurred(image, within)[..., :8].abs().max() == 0
    assert blurred(image)[..., 7].min() > 0.5


def test_baselines_are_what_they_say():
    blob = blob_maps(2, LAYER)
    assert blob[0].argmax() in (5, 6, 9, 10)
    np.testing.assert_allclose(blob[0], blob[0].T)
    image = torch.zeros(1, 3, 32, 32)
    image[..., 20:] = 1  # an edge between columns 19 and 20
    edges = edge_maps(image, LAYER)
    assert (edges[0].argmax(axis=1) == 2).all()
    assert not edges[0, :, [0, 1, 3]].any()


@pytest.fixture(scope="module")
def trained():
    """A small network that has learnt where a bright square is: left or right."""
    torch.manual_seed(0)
    config = trial_config(
        {"model.weights": "none", "model.width": 8, "model.depth": 3, "model.dense_layers": 0}
    )
    model = build_model(config, 2, 32)
    images = 0.3 * torch.randn(96, 3, 32, 32)
    labels = torch.arange(96) % 2
    for image, label in zip(images, labels, strict=True):
        y, x = (int(v) for v in torch.randint(2, 22, (2,)))
        image[int(label), y : y + 8, x : x + 8] += 2  # class 0 red, class 1 green
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(25):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    return model.eval(), images


def test_randomisation_changes_grad_cam_but_not_an_edge_map(trained):
    model, images = trained
    predictions = predicted_classes(model, images)
    layer = choose_layer(model, 32)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    edges = randomise_cascading(model, images, predictions, baseline_methods(layer)[EDGES])
    cam = randomise_cascading(model, images, predictions, explaining_methods(layer)["Grad-CAM"])
    assert [step.group for step in cam] == ["head.1", "blocks.2", "blocks.1", "blocks.0"]
    assert all((s.spearman == 1).all() and np.allclose(s.ssim, 1) for s in edges)
    assert cam[-1].spearman.mean() < 0.5
    assert cam[-1].ssim.mean() < 0.6
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_every_parameter_is_in_one_group():
    for name in ("scratch_cnn", "resnet18", "resnet20_cifar"):
        config = trial_config({"model.weights": "none", "model.name": name})
        model = build_model(config, 10, 32)
        modules = [n for group in layer_groups(model, 32).values() for n in group]
        assert len(set(modules)) == len(modules)
        held = {id(p) for n in modules for p in model.get_submodule(n).parameters(recurse=False)}
        assert held == {id(p) for p in model.parameters()}


def test_likeness_of_known_maps():
    rng = np.random.default_rng(0)
    maps = rng.random((5, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(spearman(maps, np.exp(maps)), 1)
    np.testing.assert_allclose(spearman(maps, -maps), -1)
    assert spearman(maps, np.ones_like(maps)).tolist() == [0] * 5
    np.testing.assert_allclose(ssim(maps, 3 * maps + 1), 1, atol=1e-5)
    assert np.abs(ssim(maps, rng.random((5, 9, 9)).astype(np.float32))).max() < 0.3


def test_a_good_map_is_evidence_and_an_edge_map_is_not(trained):
    model, images = trained[0], trained[1][:48]
    predictions = predicted_classes(model, images)
    layer = choose_layer(model, 32)
    methods = {
        "Grad-CAM": explaining_methods(layer)["Grad-CAM"],
        "edges again": baseline_methods(layer)[EDGES],
        "blob again": baseline_methods(layer)[BLOB],
    }
    checks = compute_map_checks(model, images, predictions, layer, methods)
    assert checks.num_images == 48
    assert len(checks.curves) == 6 * len(TESTS)
    assert {c.baseline for c in checks.comparisons} == {RANDOM, BLOB, EDGES}
    edges = checks.verdicts["edges again"]
    assert not edges.is_evidence
    assert "does not beat an edge map" in edges.sentence
    assert "not clearly changed by a random model (rank correlation 1.00" in edges.sentence
    assert "n=48" in edges.sentence
    assert "does not beat a centred blob" in checks.verdicts["blob again"].sentence
    blob = [c for c in checks.comparisons if c.method == "Grad-CAM" and c.baseline == BLOB]
    assert [c.gain.low > 0 for c in blob if c.test == "deletion"] == [True]


def verdict(gains, alike):
    comparisons = [
        Comparison("m", BLOB, test, Interval(v, v - 0.01, v + 0.01, 50))
        for test, v in zip(TESTS, gains, strict=True)
    ]
    interval = Interval(alike, alike - 0.05, alike + 0.05, 50)
    return judge("m", comparisons, Likeness("m", "conv1", interval, interval))


def test_the_rule_of_the_verdict():
    assert verdict((0.1, 0.1, 0.1), 0.2).is_evidence
    assert verdict((0.1, 0.1, 0.0), 0.2).is_evidence  # two of three, the third open
    assert not verdict((0.1, 0.1, -0.1), 0.2).is_evidence  # the baseline wins one
    assert not verdict((0.1, 0.0, 0.0), 0.2).is_evidence
    assert not verdict((0.1, 0.1, 0.1), 0.47).is_evidence
    assert "deletion +0.100 [+0.090, +0.110]" in verdict((0.1, 0.0, 0.0), 0.2).sentence
    assert verdict((0.1, 0.1, 0.1), 0.2).sentence.startswith("M beats")


def test_how_many_images_are_checked_depends_on_their_size():
    assert len(choose_images(1000, 32 * 32, 0)) == 200
    assert len(choose_images(1000, 224 * 224, 0)) == 24
    assert choose_images(5, 1024, 0).tolist() == [0, 1, 2, 3, 4]
