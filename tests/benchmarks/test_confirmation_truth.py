"""The simulated confirmations follow the plans of the command."""

import numpy as np

from benchmarks.confirmation_truth import SITUATIONS, Situation, sequential
from deepsight.confirm.statistics import FIRST_SEEDS, MOST_SEEDS

PLAIN = SITUATIONS[0].noise


def test_seeds_are_added_as_by_the_command():
    rng = np.random.default_rng(0)
    clear = Situation("clear", 30.0, PLAIN)
    assert sequential(clear, 0.01, rng).seeds == FIRST_SEEDS
    open_to_the_end = Situation("open", 0.0, PLAIN)
    assert sequential(open_to_the_end, 1e-9, rng).seeds == MOST_SEEDS
