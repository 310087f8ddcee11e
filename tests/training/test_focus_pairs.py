"""`train.focus_pairs`: how it is written, and that it separates the pair that it names."""

import numpy as np
import pytest

from deepsight.config import UserError
from deepsight.training.focus_pairs import parse_pairs
from deepsight.training.prerequisites import prepare
from deepsight.training.trial import train_trial
from tests.training.tiny import config

CLASSES = ("cat", "dog", "a:b", "bird")


def test_parse() -> None:
    assert parse_pairs("", CLASSES) == ()
    assert parse_pairs("cat:dog", CLASSES) == ((0, 1),)
    assert parse_pairs("dog:cat, bird:#2", CLASSES) == ((1, 0), (3, 2))


@pytest.mark.parametrize("text", ["cat", "cat:dog:bird", "cat:cat", "cat:cow", "cat:#4", "cat:"])
def test_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_pairs(text, CLASSES)


def test_unknown_classes_are_refused_before_the_first_trial() -> None:
    with pytest.raises(UserError, match="risen"):
        prepare([config(), config(train={"focus_pairs": "flat:risen"})])


def test_the_named_pair_is_confused_less() -> None:
    """Over three seeds; the other pair is not what is minimised."""
    confused = {}
    for pairs in ("", "flat:rising"):
        counts = []
        for seed in range(3):
            sections = {"optim": {"lr": 0.002}, "train": {"seed": seed, "focus_pairs": pairs}}
            *_, last = train_trial(config(**sections))
            labels = last.predictions["labels"]
            scores = last.predictions["probabilities"].astype(float)
            inside = labels < 2
            share = scores[inside, 1 - labels[inside]] / scores[inside][:, :2].sum(axis=1)
            counts.append(float(share.mean()))
        confused[pairs] = np.mean(counts)
    assert confused["flat:rising"] < confused[""]
