"""Phases of a training: which there are, what they trained and what they reached."""

import dataclasses

import pytest

from analysis.diagnosis.results import compute_results
from analysis.diagnosis.training.phases import compute_training
from analysis.diagnosis.training.section import training_part
from deepsight.imports import Permission
from deepsight.trained_model import load_trained_model
from tests.analysis.diagnosis.evaluations import counted

TRUST = Permission(trust=True)  # the data are made by code of tests/


def training(study, trial, target=None):
    model = load_trained_model(study, trial, permission=TRUST)
    header = dataclasses.replace(model.study.header, target=target)
    model = dataclasses.replace(model, study=dataclasses.replace(model.study, header=header))
    results = compute_results(model, counted([[3, 1], [2, 4]]), {})
    return compute_training(results, num_val=100)


def test_two_phases_with_what_they_trained_and_reached(frozen_study):
    info = training(frozen_study, "t0000", target=0.9)
    frozen, tuned = info.phases
    assert [(p.kind, p.first, p.last) for p in info.phases] == [
        ("frozen", 1, 1),
        ("fine-tuned", 2, 3),
    ]
    assert (frozen.num_frozen, frozen.num_stages) == (2, 2)
    # the head is a linear layer of 16 inputs and 4 classes; a block is convolution and batch norm
    head, backbone = 16 * 4 + 4, (3 * 9 * 8 + 2 * 8) + (8 * 9 * 16 + 2 * 16)
    assert frozen.num_trained == head
    assert tuned.num_trained == frozen.num_parameters == head + backbone
    rows = info.rows
    assert tuned.val_accuracy.value == tuned.score == rows[2]["val_accuracy"]
    assert tuned.val_accuracy.n == 100
    assert tuned.wall_s == pytest.approx(rows[1]["wall_s"] + rows[2]["wall_s"])
    assert tuned.gap == pytest.approx(rows[2]["val_accuracy"] - 0.9)
    assert tuned.verdict == ("met" if tuned.gap >= 0 else "missed")
    assert tuned.test_accuracy.value == pytest.approx(0.7)  # of the evaluation: 7 of 10
    assert frozen.test_accuracy is None  # its weights were not kept


def test_step_by_step_has_a_phase_a_stage(frozen_study):
    info = training(frozen_study, "t0001")
    kinds = [(p.kind, p.num_frozen, p.epochs) for p in info.phases]
    assert kinds == [("frozen", 2, "1"), ("partly frozen", 1, "2"), ("fine-tuned", 0, "3")]


def test_a_target_that_the_largest_class_reaches_is_too_low(frozen_study):
    assert {p.verdict for p in training(frozen_study, "t0000", target=0.05).phases} == {"too low"}
    assert {p.verdict for p in training(frozen_study, "t0000", target=1.1).phases} == {"missed"}
    assert {p.verdict for p in training(frozen_study, "t0000").phases} == {""}


@pytest.mark.parametrize(
    ("trial", "kind", "why"),
    [
        ("t0002", "frozen", "model.unfreeze is never"),
        ("t0003", "frozen", "from epoch 9 on; the trial has 3"),
        ("t0004", "all layers trained", "freezes none of 2 stages"),
    ],
)
def test_one_phase_says_why(frozen_study, trial, kind, why):
    info = training(frozen_study, trial)
    assert [(p.kind, p.first, p.last) for p in info.phases] == [(kind, 1, 3)]
    assert why in info.why_one
    section = training_part(info).section({})
    assert section.lead == f"One phase: {kind}. {info.why_one}"


def test_weights_that_were_not_kept_are_said(frozen_study):
    info = training(frozen_study, "t0000")
    notes = [b.text for b in training_part(info).section({}).blocks if hasattr(b, "text")]
    assert len(notes) == 1
    assert "Only the weights of the last epoch were kept" in notes[0]
