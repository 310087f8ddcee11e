"""The documentation as a site: built as `make docs` does, complete, and fetched from nowhere."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

import deepsight
from deepsight.__main__ import COMMANDS
from deepsight.config import PARAMS, STUDY_PARAMS

ROOT = Path(__file__).parent.parent
LINK = re.compile(r'<a [^>]*href="?([^"# >]+\.html)')
FETCHED = (
    re.compile(r'<(?:script|img|iframe|source)[^>]* src="?((?:https?:)?//[^" >]+)'),
    re.compile(r'<link(?![^>]*rel="?(?:canonical|next|prev))[^>]* href="?((?:https?:)?//[^" >]+)'),
    re.compile(r"url\(['\"]?((?:https?:)?//[^)]+)"),
)
"""What makes a browser fetch: scripts, pictures, styles, fonts. Links for people do not."""


def build(directory, config="mkdocs.yml"):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(
        [*command, "--config-file", config, "--site-dir", str(directory)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    done = build(directory)
    assert done.returncode == 0, done.stderr
    return directory


def test_every_page_is_reached_from_the_first(site):
    pages = {p.resolve() for p in site.rglob("*.html")} - {(site / "404.html").resolve()}
    reached, waiting = set(), [(site / "index.html").resolve()]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in pages:
            continue
        reached.add(page)
        text = page.read_text(encoding="utf-8")
        waiting += [
            (page.parent / unquote(target)).resolve()
            for target in LINK.findall(text)
            if "://" not in target
        ]
    sources = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    assert len(pages) == len(sources) > 100
    assert pages - reached == set()


def test_no_page_fetches_anything_from_another_host(site):
    files = [p for p in site.rglob("*") if p.suffix in (".html", ".css")]
    found = {m for p in files for r in FETCHED for m in r.findall(p.read_text(encoding="utf-8"))}
    assert found == set()


def test_the_search_works_without_a_server(site):
    assert "explorer" in (site / "search" / "search_index.js").read_text(encoding="utf-8")
    page = (site / "decisions" / "index.html").read_text(encoding="utf-8")
    assert (site / "site" / "iframe_worker.js").is_file()
    assert "../site/iframe_worker.js" in page


def test_the_reference_has_every_name_setting_and_command(site):
    for source in (ROOT / "docs" / "reference").glob("*.md"):
        page = (site / "reference" / f"{source.stem}.html").read_text(encoding="utf-8")
        for name in re.findall(r"^::: (\S+)$", source.read_text(encoding="utf-8"), re.MULTILINE):
            assert f'id="{name}"' in page, f"{source.name}: {name}"
    settings = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    assert [n for n in {**PARAMS, **STUDY_PARAMS} if f"<code>{n}</code>" not in settings] == []
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for module, _ in COMMANDS.values():
        assert f"usage: python -m {module}" in commands


def test_the_reference_has_all_that_a_notebook_imports(site):
    pages = "".join(p.read_text(encoding="utf-8") for p in (site / "reference").glob("*.html"))
    named = {n.rpartition(".")[2] for n in re.findall(r'id="([\w.]+)"', pages)}
    assert set(deepsight.__all__) - named == set()


def test_no_docstring_of_the_reference_is_shown_as_quotations(site):
    """``>>>`` outside of ``Examples:`` is Markdown for a quotation in a quotation."""
    pages = (site / "reference").glob("*.html")
    assert [p.name for p in pages if "<blockquote>" in p.read_text(encoding="utf-8")] == []


def test_a_warning_is_an_error(tmp_path):
    """With ``--quiet`` it would be none: mkdocs 1.6 counts what it shows."""
    assert "mkdocs build --strict &&" in (ROOT / "Makefile").read_text()
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[nowhere](nowhere.md)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: s\n")
    done = build(tmp_path / "site", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr + done.stdout
