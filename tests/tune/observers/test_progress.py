"""Progress: one output of a notebook, which changes; what is said of the classes."""

import io
from types import SimpleNamespace

from deepsight.data.class_balance import class_balance
from deepsight.tune.observers import progress
from deepsight.tune.observers.progress import NotebookProgress, TerminalProgress, make_progress
from deepsight.tune.search.search import Progress
from tests.tune.plans import make_plan


class Cell:
    """What IPython hands out: an output that can be replaced."""

    def __init__(self):
        self.shown = []

    def update(self, obj):
        self.shown.append(obj)


def watched(monkeypatch):
    monkeypatch.setattr(progress, "describe", lambda search, *_: f"{search.count}/9 <trials>")
    search = SimpleNamespace(count=0, progress=SimpleNamespace(epochs=0, best_trial=None))
    monkeypatch.setattr(progress.TimeLeft, "seconds", lambda *_: None)
    cell = Cell()
    shown = NotebookProgress(cell)
    shown.watch(search)
    return search, cell, shown


def test_a_thousand_epochs_are_one_line_that_changes(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    search, cell, shown = watched(monkeypatch)
    for number in range(1000):
        clock[0] += 0.01
        search.count = number
        shown.reported(SimpleNamespace(trial_id="t0000"), {})
    assert 8 <= len(cell.shown) <= 10
    assert "&lt;trials&gt;" in cell.shown[-1]._repr_html_()
    assert repr(cell.shown[-1]).endswith("/9 <trials>")


def test_the_last_event_stands_below(monkeypatch):
    _, cell, shown = watched(monkeypatch)
    for number in range(3):
        shown.ended(SimpleNamespace(trial_id=f"t{number}"), "failed", "<b>broken")
    shown.close()
    shown.close()
    assert repr(cell.shown[-1]) == "0/9 <trials>\nt2 failed: <b>broken"
    assert "&lt;b&gt;broken" in cell.shown[-1]._repr_html_()


def test_elsewhere_it_is_the_terminal():
    assert type(make_progress()) is TerminalProgress


BALANCE = class_balance({"common": 40, "rare": 1})


def a_search(best=0.9756, best_trial="t0001"):
    counts = Progress(best=best, best_trial=best_trial, epochs=4)
    plan = make_plan(trials=4, metric="val_accuracy")
    return SimpleNamespace(
        progress=counts, plan=plan, num_paused=0, num_running=0, slots=1, most_trials=4
    )


def test_uneven_classes_are_said_at_the_start_and_the_baseline_beside_the_best():
    stream = io.StringIO()
    shown = TerminalProgress(stream, BALANCE)
    shown.watch(a_search(best=40 / 41))
    uneven, rare = stream.getvalue().splitlines()
    assert uneven.startswith("Classes are uneven: 40 to 1 validation images.")
    assert "--set study.metric=val_macro_f1" in uneven
    assert "'rare' (1)" in rare
    shown.ended(SimpleNamespace(trial_id="t0001"), "completed", None)
    assert "val_accuracy 0.9756, no better than the majority baseline 0.9756" in stream.getvalue()
    shown.close()
    assert "best val_accuracy 0.9756 (t0001; majority baseline 0.9756)" in stream.getvalue()


def test_a_notebook_keeps_what_is_to_be_known_of_the_classes():
    cell = Cell()
    shown = NotebookProgress(cell, BALANCE)
    shown.watch(a_search(best=0.99))
    shown.ended(SimpleNamespace(trial_id="t0001"), "completed", None)
    line, uneven, rare, event = repr(cell.shown[-1]).splitlines()
    assert "majority baseline 0.9756" in line
    assert uneven.startswith("Classes are uneven")
    assert "rare" in rare
    assert event == "t0001 is the best so far: val_accuracy 0.9900"


def test_without_images_by_class_nothing_is_added():
    stream = io.StringIO()
    shown = TerminalProgress(stream)
    shown.watch(a_search())
    shown.close()
    assert "best val_accuracy 0.9756 (t0001)" in stream.getvalue()
