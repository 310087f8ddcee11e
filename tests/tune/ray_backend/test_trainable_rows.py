"""What trainables of users yield: taken by rules, renamed, or refused with the reason."""

import functools
import json
import os

import numpy as np
import pytest
import torch

from deepsight.config import UserError
from deepsight.run_store import create_study, load_study, open_study
from deepsight.tune.preflight import make_header
from deepsight.tune.ray_backend.adapter import AdapterState, RayScheduler
from deepsight.tune.ray_backend.trainable_rows import taken_results, taken_row
from deepsight.tune.ray_backend.trial_errors import describe_error
from deepsight.tune.ray_backend.trial_spec import TrialSpec
from deepsight.tune.ray_backend.worker import run_trial
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from tests.tune.plans import make_plan

HERE = "tests.tune.ray_backend.test_trainable_rows"


def from_zero(config, state):
    """Counts epochs as ``range`` does, also when it goes on."""
    for epoch in range(state["next"] if state else 0, 9):
        yield {"epoch": epoch, "score": epoch / 9}, {"next": epoch + 1}


def rows(answers, resumed_row=None, known_epochs=0):
    return [r.metrics for r in taken_results(answers, resumed_row, known_epochs)]


def test_yields_are_counted_where_no_epoch_is_given():
    assert rows([{"a": 1}, {"a": 2}]) == [{"epoch": 1, "a": 1}, {"epoch": 2, "a": 2}]
    assert rows([{"a": 3}], {"epoch": 2}, 2) == [{"epoch": 3, "a": 3}]


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float32, torch.tensor])
def test_epochs_may_be_any_whole_number(kind):
    assert [r["epoch"] for r in rows([{"epoch": kind(e)} for e in (1, 2)])] == [1, 2]
    shape = [{"epoch": np.array([e])} for e in (1, 2)]
    assert [r["epoch"] for r in rows(shape)] == [1, 2]


def test_epochs_from_zero_are_raised_by_one_and_kept(tmp_path):
    spec = TrialSpec("t0000", str(tmp_path), {}, f"{HERE}:from_zero", 0, 9)
    steps = run_trial(spec)
    first = [json.loads(next(steps)["row"]) for _ in range(3)]
    assert [(r["epoch"], r["own_epoch"]) for r in first] == [(1, 0), (2, 1), (3, 2)]
    steps.close()
    again = run_trial(TrialSpec("t0000", str(tmp_path), {}, f"{HERE}:from_zero", 3, 9))
    assert json.loads(next(again)["row"]) == {"epoch": 4, "own_epoch": 3, "score": 3 / 9}
    again.close()


def test_a_trainable_without_state_begins_again_and_may_count():
    assert [r["epoch"] for r in rows([{"epoch": 1}, {"epoch": 2}], None, 5)] == [1, 2]
    assert [r["epoch"] for r in rows([{"epoch": 6}], None, 5)] == [6]  # it has a state of its own


@pytest.mark.parametrize(
    ("epochs", "cause"),
    [
        (["1/100"], "epoch='1/100', which is no whole number"),
        ([0.5], "epoch='0.5', which is no whole number"),
        ([True], "epoch='True', which is no whole number"),
        ([-1], "epoch=-1 first, with 0 on record"),
        ([10], "epoch=10 first, with 0 on record"),
        ([0, 0], "epoch=0 after 1 epochs"),
        ([1, 2, 4], "epoch=4 after 2 epochs"),
    ],
)
def test_epochs_that_cannot_be_counted_are_refused(epochs, cause):
    with pytest.raises(UserError, match=cause) as refused:
        rows([{"epoch": e} for e in epochs])
    assert "Leave epoch out" in refused.value.remedy


def test_reserved_fields_are_stored_under_another_name():
    assert taken_row({"time": 0.1, "trial_id": "a"}) == {"own_time": 0.1, "own_trial_id": "a"}
    with pytest.raises(UserError, match="own_time twice"):
        taken_row({"own_time": 1, "time": 2})


def test_arrays_of_one_element_are_numbers():
    made = {"score": np.array([0.25], np.float32), "lr": torch.tensor([[0.5]]), "pair": [1]}
    assert taken_row(made) == {"score": 0.25, "lr": 0.5, "pair": [1]}
    assert taken_row({"val_recall": np.array([0.5])}) == {"val_recall": [0.5]}
    assert taken_row({"score": float("nan")}) == {"score": None}


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("val_accuracy", "35.2%", "val_accuracy='35.2%', which is not a number"),
        ("lr", [0.1, 0.2], "which is not a number"),
        ("wall_s", "00:01", "which is not a number"),
        ("val_recall", 0.5, "which is not a list of numbers"),
        ("anything", 10**400, "at most 64 bits"),
        ("anything", [0, {"n": 2**63}], "at most 64 bits"),
        ("anything", [0, ["\ud800"]], "half a character"),
        ("anything", functools.reduce(lambda inner, _: [inner], range(40), 0), "nested deeper"),
        ("anything", object(), "anything: a object is not a number, a text or a list"),
    ],
)
def test_what_a_field_cannot_hold_is_refused(field, value, cause):
    with pytest.raises(UserError, match=cause):
        taken_row({field: value})


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        (None, "the trainable returned a NoneType"),
        ({"score": 1.0}, "the trainable returned a dict"),
        ([0.5], "the trainable yielded a float"),
        ([({"a": 1}, {}, {})], "the trainable yielded a tuple"),
        ([({"a": 1}, 3)], "a state of type int"),
    ],
)
def test_other_answers_are_refused(answers, cause):
    with pytest.raises(UserError, match=cause):
        rows(answers)


def test_a_metric_that_is_no_number_fails_its_trial_with_the_reason(tmp_path):
    plan = make_plan(trials=1)
    with create_study(tmp_path / "s", make_header(plan, {})) as writer:
        search = Search(plan, Searcher(plan, tmp_path / "j"), writer)
        state = AdapterState(search, lambda proposal, epochs: None)
        state.ids["ray"] = search.next().trial_id
        row = json.dumps({"epoch": 1, "score": "35.2%"})
        assert RayScheduler(state).on_trial_result(None, _Trial(), {"row": row}) == "STOP"
    (record,) = load_study(tmp_path / "s").records
    assert record.state == "failed"
    assert "score='35.2%', which is not a number" in record.error


class _Trial:
    trial_id = "ray"


@pytest.mark.parametrize("time", [0.05, 4e9])
def test_a_study_whose_times_a_trainable_overwrote_goes_on(tmp_path, time):
    plan = make_plan(trials=2)
    with create_study(tmp_path / "s", make_header(plan, {})) as writer:
        writer.started("t0000", plan.default_config(), False, 9)
        for epoch in (1, 2):
            writer.result("t0000", {"epoch": epoch, "time": time * epoch, "score": 0.5})
        writer.ended("t0000", "stopped", time=load_study(tmp_path / "s").records[0].started + 9)
    with open_study(tmp_path / "s") as writer:
        search = Search(plan, Searcher(plan, tmp_path / "j"), writer)
        search.replay(writer.study)
        assert search.progress.ended["stopped"] == 1
        assert search.progress.epochs == 2


def test_an_error_about_a_file_that_is_no_utf8_can_be_written_anywhere():
    error = FileNotFoundError(2, "No such file", os.fsdecode(b"caf\xe9.png"))
    assert r"caf\udce9.png" in describe_error(error, {})
    assert describe_error(UserError("no caf\udce9.", "Find it."), {}).encode()


def test_one_image_for_batch_normalisation_says_what_to_do():
    with pytest.raises(ValueError, match="Expected more than 1 value") as failed:
        torch.nn.BatchNorm2d(4)(torch.zeros(1, 4, 1, 1))
    assert "set optim.batch_size to 2 or more" in describe_error(failed.value, {})


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_is_said_with_the_sizes(error):
    told = describe_error(error, {"optim.batch_size": 512, "data.image_size": 96})
    assert told.startswith("out of memory at batch size 512, image size 96: ")
    assert "\n" not in told


def test_the_hosts_allocators_are_understood_too():
    for allocate in (torch.empty, functools.partial(np.empty, dtype=np.float32)):
        with pytest.raises((RuntimeError, MemoryError)) as failed:
            allocate(1 << 50)
        assert describe_error(failed.value, {}).startswith("out of memory at ")
