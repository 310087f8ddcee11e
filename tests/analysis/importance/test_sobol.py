import random

import numpy as np
import pytest

from analysis.importance.encoding import make_encoding
from analysis.importance.sobol import sobol_indices
from benchmarks import importance_problems as planted
from deepsight.space import choice, sample, uniform, when


def indices_of(space, function, num=4096):
    rng = random.Random(0)
    encoding = make_encoding(space, {}, [sample(space, {}, rng) for _ in range(100)])
    found = sobol_indices(
        lambda units: np.array([function(c) for c in encoding.configs(units)]), encoding, num
    )
    return {n: i for i, n in enumerate(encoding.names)}, found


def test_ishigami():
    at, found = indices_of(planted.ISHIGAMI, lambda c: planted.ishigami(c["x1"], c["x2"], c["x3"]))
    variance = 7**2 / 8 + 0.1 * np.pi**4 / 5 + 0.1**2 * np.pi**8 / 18 + 0.5
    v1, v2, v13 = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 7**2 / 8, 8 * 0.1**2 * np.pi**8 / 225
    assert found.variance[0] == pytest.approx(variance, rel=0.02)
    main, total = found.main[:, 0] * variance, found.total[:, 0] * variance
    assert main == pytest.approx([v1, v2, 0, 0], abs=0.02 * variance)
    assert total == pytest.approx([v1 + v13, v2, v13, 0], abs=0.02 * variance)
    pair = found.pairs[at["x1"], at["x3"], 0]
    assert pair == pytest.approx(v13 / variance, abs=0.02)
    assert found.pairs[at["x1"], at["x2"], 0] == pytest.approx(0, abs=0.02)


def test_g_function():
    _, found = indices_of(planted.G_FUNCTION, planted.g_function)
    parts = 1 / 3 / (1 + np.array(planted.G_COEFFICIENTS)) ** 2
    variance = np.prod(1 + parts) - 1
    assert found.main[:, 0] == pytest.approx(parts / variance, abs=0.01)
    total = parts * np.prod(1 + parts) / (1 + parts) / variance
    assert found.total[:, 0] == pytest.approx(total, abs=0.01)


def test_a_conditional_hyperparameter_counts_where_it_is_active():
    """Half of the space has it: its total is half of its variance there."""
    space = {"kind": choice("a", "b"), "x": when("kind", "a", uniform(0.0, 1.0))}
    at, found = indices_of(space, lambda c: c["x"] if c["kind"] == "a" else 0.5)
    # given x the mean moves by (x - 1/2) / 2: a quarter of 1/12; kind by itself moves nothing
    assert found.variance[0] == pytest.approx(1 / 24, rel=0.02)
    assert found.main[at["x"], 0] == pytest.approx(0.5, abs=0.02)
    assert found.total[at["x"], 0] == pytest.approx(1.0, abs=0.02)
    assert found.main[at["kind"], 0] == pytest.approx(0.0, abs=0.02)
    assert found.total[at["kind"], 0] == pytest.approx(0.5, abs=0.02)


def test_kurtosis_of_a_square_wave_and_of_a_rare_failure():
    space = {"x": uniform(0.0, 1.0), "y": uniform(0.0, 1.0)}
    _, even = indices_of(space, lambda c: float(c["x"] > 0.5))
    assert even.kurtosis[0] == pytest.approx(1.0, rel=0.01)
    _, rare = indices_of(space, lambda c: float(c["x"] > 0.9))
    assert rare.kurtosis[0] == pytest.approx((1 - 3 * 0.09) / 0.09, rel=0.02)
