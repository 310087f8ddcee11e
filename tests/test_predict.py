"""New images are classified as the data set's own are, and broken ones are named."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

import deepsight
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.overlays import draw_overlay
from deepsight import predict
from deepsight.data.datasets import load_dataset
from deepsight.trained_model import load_trained_model


@pytest.fixture(scope="module")
def photos(trained_study, tmp_path_factory):
    """Images of the val split as files, and what the model says of the arrays."""
    folder = tmp_path_factory.mktemp("photos")
    model = load_trained_model(trained_study)
    images = load_dataset(model.config.data).val.images[:6]
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder, model.probabilities(images)


@pytest.fixture
def mixed(photos, tmp_path):
    """A folder with a broken image, a hidden one and a text; and where the whole ones are."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "a.png").write_bytes((photos[0] / "0.png").read_bytes())
    (folder / "torn.png").write_bytes((photos[0] / "1.png").read_bytes()[:60])
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("none")
    return folder


def run(capsys, *arguments):
    code = predict.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_files_are_classified_as_arrays_are(trained_study, photos, capsys):
    folder, expected = photos
    code, out, err = run(capsys, trained_study, folder)
    names = load_trained_model(trained_study).class_names
    assert (code, err) == (0, "")
    for line, row, number in zip(out.splitlines(), expected, range(6), strict=True):
        assert line == f"{folder}/{number}.png\t{names[row.argmax()]}\t{row.max():.4f}"


def test_json_and_csv_hold_every_class(trained_study, photos, capsys):
    folder, expected = photos
    _, out, _ = run(capsys, trained_study, folder / "3.png", "--json")
    told = json.loads(out)
    assert list(told["probabilities"].values()) == pytest.approx(expected[3].tolist(), abs=1e-6)
    assert told["probability"] == pytest.approx(expected[3].max())
    assert told["error"] is None
    _, out, _ = run(capsys, trained_study, folder / "3.png", "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["class"] == told["class"]
    assert float(row["p(rising)"]) == pytest.approx(expected[3][1], abs=1e-6)


def test_broken_files_are_named_and_the_rest_is_classified(trained_study, mixed, capsys):
    code, out, err = run(capsys, trained_study, mixed, mixed / "notes.txt", "--json")
    assert code == 1
    told = {line["path"]: line for line in map(json.loads, out.splitlines())}
    assert list(told) == [f"{mixed}/deeper/a.png", f"{mixed}/torn.png", f"{mixed}/notes.txt"]
    assert told[f"{mixed}/torn.png"]["class"] is None
    assert told[f"{mixed}/torn.png"]["error"]
    assert told[f"{mixed}/deeper/a.png"]["class"]
    assert f"{mixed}/torn.png: cannot be read (" in err
    assert err.endswith("2 of 3 files cannot be read\n")
    assert "Traceback" not in err


def test_a_folder_is_walked_as_that_of_a_data_set(mixed, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "b.png").write_bytes((mixed / "deeper" / "a.png").read_bytes())
    (mixed / "linked").symlink_to(tmp_path / "shared")
    (mixed / "linked" / "loop").symlink_to(mixed)
    found = [path.relative_to(mixed).as_posix() for path in predict.image_files([mixed])]
    assert found == ["deeper/a.png", "linked/b.png", "torn.png"]


def test_many_files_take_several_batches(trained_study, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "BLOCK", 4)
    folder, expected = photos
    found = deepsight.classify(trained_study, folder)
    assert [p.label for p in found] == expected.argmax(axis=1).tolist()
    assert np.allclose([p.probabilities for p in found], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        (["{tmp}/nowhere.png"], "{tmp}/nowhere.png does not exist."),
        (["{tmp}"], "{tmp} holds no image file."),
        (["{photos}", "--trial", "t9"], "unknown trial 't9'."),
    ],
)
def test_what_is_wrong_is_said_in_two_lines(trained_study, photos, tmp_path, capsys, what, cause):
    names = {"tmp": tmp_path, "photos": photos[0]}
    code, out, err = run(capsys, trained_study, *(w.format(**names) for w in what))
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"error: {cause.format(**names)}"
    assert len(err.splitlines()) == 2


def test_maps_are_written_beside_the_answers(trained_study, mixed, tmp_path, capsys):
    code, out, err = run(capsys, trained_study, mixed, "--map", tmp_path / "maps")
    assert code == 1
    assert len(out.splitlines()) == 1
    (file,) = (tmp_path / "maps").iterdir()
    assert file.name == "0001_a.png"
    with Image.open(file) as drawn:
        assert drawn.width > drawn.height > 300


def test_a_folder_for_maps_that_cannot_be_made_is_named(trained_study, photos, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, trained_study, photos[0], "--map", tmp_path / "file" / "maps")
    assert code == 2
    assert "cannot be made" in err


def test_an_overlay_names_layer_scale_and_what_is_unchecked():
    image = np.zeros((8, 8, 3), np.uint8)
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    figure = draw_overlay(image, values, Layer("blocks.1", 8, 4, 4), "a.png: cat 90 %")
    assert "blocks.1, 4x4 cells" in figure.get_supxlabel()
    assert "analysis.diagnose checks" in " ".join(figure.get_supxlabel().split())
    assert len(figure.axes) == 3  # image, map, scale
    np.testing.assert_array_equal(figure.axes[1].images[-1].get_array(), values)


def test_names_break_no_column_and_move_no_cursor(trained_study, photos, tmp_path, capsys):
    out = io.StringIO()
    odd = predict.Prediction(tmp_path / "a\tb\nc\x1b[2J", 0, "cat\t0.99\ndog", 0.5, (0.5, 0.5))
    predict.write_lines([odd], ["cat", "dog"], out)
    assert out.getvalue() == f"{tmp_path}/a\\tb\\nc\\x1b[2J\tcat\\t0.99\\ndog\t0.5000\n"
    broken = tmp_path / "x\x1b]0;owned\x07\nforged.png"
    broken.write_bytes(b"")
    code, _, err = run(capsys, trained_study, photos[0] / "1.png", broken)
    assert code == predict.SOME_BROKEN
    assert "\x1b" not in err
    assert f"{tmp_path}/x\\x1b]0;owned\\x07\\nforged.png: cannot be read" in err
