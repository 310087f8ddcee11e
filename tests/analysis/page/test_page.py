"""The page in a real browser: brushing filters the table, nothing is clipped, no error is logged.

Skipped where there is neither playwright nor a Chromium; the policy and the escaping are tested
without one in `test_report.py`.
"""

import shutil

import pytest

from analysis.report.cli import main
from tests.analysis.studies import SMALL, write_study

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium: one on the path, or the one that playwright has installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with api.sync_playwright() as started:
        try:
            found = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = write_study(tmp_path_factory.mktemp("runs") / "small", SMALL)
    assert main([str(path)]) == 0
    return (path / "report/index.html").as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the page at a width; all it logs and asks for is checked in the end."""
    pages, logged, asked = [], [], []

    def open_page(width, address=address, height=900):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda m: logged.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: logged.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto(address)
        page.wait_for_selector("#coordinates[data-drawn=true]", state="attached")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert logged == []
    assert [u for u in asked if not u.startswith(("file:", "data:", "blob:"))] == []


def shown(page):
    return page.eval_on_selector_all(
        "#trial-table tbody tr", "rows => rows.filter(r => !r.hidden).map(r => r.dataset.trial)"
    )


def drag(page, axis, low, high):
    """Drag over an axis from one position to another, as a user does with the mouse."""
    spot = page.evaluate(
        """([axis, low, high]) => {
          const plot = document.getElementById("coordinates"), box = plot.getBoundingClientRect();
          const {xaxis, yaxis} = plot._fullLayout;
          const y = (at) => box.y + yaxis._offset + yaxis.l2p(at);
          return {x: box.x + xaxis._offset + xaxis.l2p(axis), from: y(low), to: y(high)};
        }""",
        [axis, low, high],
    )
    page.mouse.move(spot["x"] - 8, spot["from"])
    page.mouse.down()
    page.mouse.move(spot["x"], (spot["from"] + spot["to"]) / 2, steps=4)
    page.mouse.move(spot["x"] + 8, spot["to"], steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)


@pytest.mark.slow
def test_brushing_an_axis_filters_the_table(opened):
    page = opened(1280)
    page.locator("#coordinates").scroll_into_view_if_needed()
    assert len(shown(page)) == len(SMALL)
    drag(page, 0, 0.7, 1.02)  # the score at full budget, upper end
    assert shown(page) == ["t0001", "t0009", "t0005"]
    assert page.inner_text("#counted") == "3 of 10 trials"
    told = page.inner_text("#brushes button").split()
    assert told[:4] == ["val_accuracy", "at", "9", "epochs:"]
    assert float(told[4]) == pytest.approx(0.45 + 0.7 * 0.45, abs=0.01)  # 0.45 to 0.9
    assert told[5:7] == ["to", "0.9"]
    drag(page, 2, 0.6, 1.02)  # the learning rate, upper end
    assert shown(page) == ["t0009"]
    page.click("#brushes button >> nth=0")
    assert shown(page) == ["t0009"]
    page.click("#brushes button >> nth=0")
    assert len(shown(page)) == len(SMALL)
    drag(page, 3, -0.2, -0.1)  # momentum inactive
    assert "t0004" not in shown(page)
    assert len(shown(page)) == len(SMALL) - 1


@pytest.mark.slow
def test_the_legend_says_what_lines_mean(opened):
    text = opened(1280).inner_text("#legend")
    for word in ("val_accuracy at 9 epochs: 0.45", "0.9", "stopped", "diverged", "explorer"):
        assert word in text


@pytest.mark.slow
def test_words_and_headings_filter_and_sort_the_table(opened):
    page = opened(1280)
    page.fill("#words", "explorer, full")
    assert shown(page) == ["t0005", "t0004"]
    page.fill("#words", "")
    page.click("#trial-table th >> nth=3")
    assert shown(page)[0] in ("t0002", "t0008")
    page.click("#trial-table th >> nth=3")
    assert shown(page)[0] in ("t0000", "t0001", "t0004", "t0005", "t0009")


@pytest.mark.slow
def test_pointing_at_a_line_names_its_trial(opened):
    page = opened(1280)
    page.locator("#coordinates").scroll_into_view_if_needed()
    spot = page.evaluate(
        """() => {
          const plot = document.getElementById("coordinates"), box = plot.getBoundingClientRect();
          const {xaxis, yaxis} = plot._fullLayout;
          return [box.x + xaxis._offset + xaxis.l2p(0), box.y + yaxis._offset + yaxis.l2p(1)];
        }"""
    )
    page.mouse.move(spot[0] + 30, spot[1] + 30)
    page.mouse.move(*spot, steps=5)
    page.wait_for_timeout(300)
    assert page.inner_text("#hovered").startswith("t0001")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_never_scrolls_sideways(opened, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.eval_on_selector_all(
        "h1, h2, .finding, .lead, .cards div, .scroll",
        """
        all => all.map(e => e.getBoundingClientRect()).map(b => [b.left, b.right])""",
    )
    assert all(left >= 0 and right <= width for left, right in boxes)


@pytest.mark.slow
def test_pictures_stay_legible_on_a_telephone(opened):
    """The smallest text of a one-column figure (8.5 points) is at least 7 pixels high."""
    page = opened(400)
    widths = page.eval_on_selector_all("figure.half img", "all => all.map(e => e.clientWidth)")
    assert widths
    assert min(widths) / 5.4 * 8.5 / 72 >= 7
