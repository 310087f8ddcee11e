"""Progress in a notebook: one output, which changes."""

from types import SimpleNamespace

from deepsight.tune.observers import progress
from deepsight.tune.observers.progress import NotebookProgress, TerminalProgress, make_progress


class Cell:
    """What IPython hands out: an output that can be replaced."""

    def __init__(self):
        self.shown = []

    def update(self, obj):
        self.shown.append(obj)


def watched(monkeypatch):
    monkeypatch.setattr(progress, "describe", lambda search, *_: f"{search.count}/9 <trials>")
    search = SimpleNamespace(count=0, progress=SimpleNamespace(epochs=0, best_trial=None))
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
        shown.reported(None, {})
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
