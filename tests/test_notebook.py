"""What notebooks show: tables of escaped text, and in a real kernel one output for progress."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from deepsight.notebook import block_html, cell, in_notebook, table_html

ROOT = Path(__file__).parent.parent
CELL = """
import deepsight
asked = {"study.trainable": "tests.trainables:curve", "study.metric": "score"}
space = {"x": deepsight.uniform(0, 1), "kind": deepsight.choice("<b>a", "b")}
deepsight.search(space, trials=3, name="first", **asked)
"""


def test_values_read_as_people_write_them():
    assert [cell(v) for v in (None, True, 3, 0.123456, "a")] == ["–", "true", "3", "0.1235", "a"]


def test_all_text_is_escaped():
    page = block_html("<1>", ["<2>"], table_html(["<3>"], [("<4>",), (5,), (None,)]))
    for number in range(1, 5):
        assert f"<{number}>" not in page
        assert f"&lt;{number}&gt;" in page
    assert page.count("right") == 1


def test_tests_run_in_no_notebook():
    assert not in_notebook()


@pytest.mark.slow
def test_a_kernel_shows_one_line_of_progress_and_the_study(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    outputs = notebook.cells[0].outputs
    shown = [o.data for o in outputs if o.output_type in ("display_data", "execute_result")]
    progress, study = shown
    assert "3/3 trials" in progress["text/plain"]
    assert "Study first" in study["text/html"]
    assert "<b>a" not in study["text/html"]
    assert (tmp_path / "runs" / "first" / "study.json").is_file()


@pytest.mark.slow
def test_the_notebook_of_the_docs_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "first_study.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)  # stored without any
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    shown = [
        [o.data["text/plain"] for o in cell.outputs if o.output_type == "execute_result"]
        for cell in cells
    ]
    searched, trials, curves, resumed, verdict, page, answer = ["\n".join(texts) for texts in shown]
    assert "6 trials" in searched
    assert "10 trials" in resumed
    assert "val_accuracy" not in curves
    assert len(re.findall(r"\bt000\d\b", trials)) == 6
    assert "t0005" in curves
    assert verdict == "'too few trials to say'"
    assert "index.html" in page
    assert "digit.png" in answer
    assert (tmp_path / "runs" / "first" / "report" / "index.html").is_file()
