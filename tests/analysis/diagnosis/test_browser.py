"""The browser of images: what it holds, and that it works in a browser with a keyboard alone."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from analysis.diagnosis.maps.grad_cam import ClassMaps
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.page import browser
from analysis.diagnosis.page.sheet_figure import SheetMaps
from analysis.diagnosis.results import compute_results
from analysis.page.document import Document
from analysis.page.html import to_html
from deepsight.trained_model import load_trained_model
from tests.analysis.diagnosis.evaluations import counted

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CLASSES = ["<img src=x onerror=alert(1)>", "cat", "</script>", "小猫"]
CONFUSION = [[4, 2, 0, 0], [1, 3, 0, 1], [0, 0, 3, 0], [0, 0, 0, 0]]


@pytest.fixture(scope="module")
def shown(trained_study):
    """Results, images and maps of a few images made by hand."""
    model = load_trained_model(trained_study, "t0000")
    evaluation = counted(CONFUSION, classes=CLASSES)
    rng = np.random.default_rng(0)
    true, said = rng.random((2, len(evaluation), 4, 4), np.float32)
    said[evaluation.hits] = true[evaluation.hits]
    maps = ClassMaps(
        Layer("blocks.1", 8, 4, 4), evaluation.labels, evaluation.predicted, true, said
    )
    images = rng.integers(0, 255, (len(evaluation), 8, 8, 3), np.uint8)
    looks = SheetMaps(maps, "No evidence: it does not beat a blob.")
    return compute_results(model, evaluation, {}), images, looks


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_classes_have_their_three_worst_and_best(shown):
    results, images, looks = shown
    content = browser.browser_content(results, images, looks)
    assert [len(found) for found in content["worst"]] == [3, 3, 3, 0]
    assert [len(found) for found in content["best"]] == [3, 3, 3, 0]
    first = content["images"][content["worst"][0][0]]
    assert (first["true"], first["said"], set(first["maps"])) == (
        0,
        1,
        {"predicted", "true", "difference"},
    )
    hit = content["images"][content["best"][0][0]]
    assert set(hit["maps"]) == {"predicted"}
    position = list(results.evaluation.ids).index(first["name"])
    np.testing.assert_array_equal(decoded(first["image"]), images[position])
    assert decoded(first["maps"]["difference"][0]).shape == (4, 4, 3)
    assert [cell[:3] for cell in content["cells"]] == [[0, 1, 2], [1, 0, 1], [1, 3, 1]]
    for true, said, count, indices in content["cells"]:
        found = [content["images"][k] for k in indices]
        assert len(found) == count
        assert {(image["true"], image["said"]) for image in found} == {(true, said)}
    json.dumps(content, allow_nan=False)


def test_without_maps_there_are_images_alone(shown):
    results, images, _ = shown
    content = browser.browser_content(results, images, None)
    assert content["maps"] == content["verdict"] == ""
    assert all(image["maps"] == {} for image in content["images"])


def test_rare_confusions_are_counted_where_images_are_many(shown, monkeypatch):
    monkeypatch.setattr(browser, "MAX_CELL_IMAGES", 2)
    content = browser.browser_content(*shown)
    assert [len(cell[3]) for cell in content["cells"]] == [2, 0, 0]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_it_works_by_keyboard_and_asks_for_nothing(shown, tmp_path, width):
    playwright = pytest.importorskip("playwright.sync_api")
    section = browser.browser_section(*shown)
    page_file = tmp_path / "index.html"
    page_file.write_text(
        to_html(Document("t", "s", ("k",), (), (section,), (), (), data=""), tmp_path), "utf-8"
    )
    troubles, asked = [], []
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = started.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".tile").count() == 6
        assert page.locator("#browser-class option").all_inner_texts() == CLASSES
        page.focus("#browser-class")
        page.keyboard.press("ArrowDown")
        assert page.locator("#browser-shown h3").first.inner_text() == "cat: worst"
        assert "accuracy" in page.inner_text("#browser-numbers")
        opacity = ".tile .map >> nth=0"
        before = float(page.locator(opacity).evaluate("e => getComputedStyle(e).opacity"))
        page.focus("#browser-blend")
        page.keyboard.press("End")
        assert before == 0.55
        assert page.locator(opacity).evaluate("e => getComputedStyle(e).opacity") == "1"
        page.select_option("#browser-map", "difference")
        assert "-" in page.locator(".tile.error .scale").first.inner_text()
        cell = page.locator("#browser-matrix button").first
        cell.focus()
        page.keyboard.press("Enter")
        assert page.locator("#browser-shown h3").inner_text() == (
            f"{CLASSES[0]} taken for cat: 2 of 2"
        )
        assert page.locator(".tile").count() == 2
        assert cell.get_attribute("aria-pressed") == "true"
        page.select_option("#browser-class", "3")
        assert "No image of this class." in page.inner_text("#browser-shown")
        started.close()
    assert troubles == []
    assert [url for url in asked if not re.match("file:|data:", url)] == []
