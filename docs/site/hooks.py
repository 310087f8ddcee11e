"""What mkdocs does beyond its settings: pages of the repository's root, tables from the code.

README.md, CONTRIBUTING.md and CHANGELOG.md become pages without a copy in docs/. Links that lead
to files which are no pages keep their words only, as the site has no address of the repository.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from deepsight.__main__ import COMMANDS
from deepsight.config import PARAMS, STUDY_PARAMS

ROOT = Path(__file__).parents[2]
FROM_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}
FROM_ROOT |= {"CHANGELOG.md": "CHANGELOG.md"}
"""Pages that stand at the root of the repository, and their names in the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme would fetch for its search; a copy lies beside this file."""
SHORT = re.compile(r"<td( style=[^>]*)?>([-+±<>]?\d[^<]{0,25}|<a [^<]{0,90}</a>)</td>")
"""Cells that begin with a number (also dates and intervals) or are a link."""
PATH_IN_CODE = re.compile(r"`(docs/[\w/]+\.md)`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for source, name in FROM_ROOT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where the pages are, and fill in tables."""
    name = page.file.src_uri
    source = next((s for s, there in FROM_ROOT.items() if there == name), f"docs/{name}")

    def led(match: re.Match[str]) -> str:
        picture, words, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = FROM_ROOT.get(path, path.removeprefix("docs/"))
        if path not in FROM_ROOT and not path.startswith("docs/"):
            if not (ROOT / path).exists():
                raise ValueError(f"{source}: there is no {target}")
            return words if "`" in words else f"`{words}`"
        if (ROOT / "docs" / there).is_dir():
            there += "/README.md"
        away = posixpath.relpath(there, posixpath.dirname(name) or ".")
        return f"{picture}[{words}]({away}{anchor or ''})"

    def linked(match: re.Match[str]) -> str:
        there = match[1].removeprefix("docs/")
        away = posixpath.relpath(there, posixpath.dirname(name) or ".")
        return f"[`{match[1]}`]({away})" if (ROOT / match[1]).is_file() else match[0]

    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    for at in range(0, len(parts), 2):  # what lies between blocks of code
        parts[at] = LINK.sub(led, parts[at])
        if source in FROM_ROOT:
            parts[at] = PATH_IN_CODE.sub(linked, parts[at])
    text = "".join(parts)
    for mark, made in (("<!-- settings -->", _settings), ("<!-- commands -->", _commands)):
        if mark in text:
            text = text.replace(mark, made())
    return text


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Keep numbers, dates and intervals in tables on one line."""
    return SHORT.sub(r'<td class="short"\1>\2</td>', html)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """As `on_post_page`, for the page that says that there is none."""
    return output.replace(SHIM, "/site/iframe_worker.js")


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Take the script from the site itself."""
    up = posixpath.relpath("site/iframe_worker.js", posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace(SHIM, up)


def _settings() -> str:
    """A table for every section of the settings."""
    sections: dict[str, list[str]] = {}
    for name, declared in {**STUDY_PARAMS, **PARAMS}.items():
        row = (f"`{name}`", _text(declared.default), _allowed(declared), declared.metadata["doc"])
        sections.setdefault(name.partition(".")[0], []).append(" | ".join(row))
    head = "| name | default | allowed | meaning |\n|---|---|---|---|\n"
    return "\n".join(
        f"## {section}\n\n{head}" + "".join(f"| {row} |\n" for row in rows)
        for section, rows in sections.items()
    )


def _text(value: object) -> str:
    """A value as one writes it after ``--set NAME=``."""
    if value is None or value == "":
        return "none" if value is None else "(empty)"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(declared: Any) -> str:
    rule: Mapping[str, Any] = declared.metadata
    kind = rule["kind"] or type(declared.default)
    texts = [_text(value) for value in (*rule["choices"], *rule["words"]) if value]
    texts += [f"`{prefix}…`" for prefix in rule["prefixes"]]
    if rule["importable"]:
        texts.append("`package.module:name`")
    if kind is bool:
        texts = ["`true`", "`false`"]
    elif kind in (int, float):
        low, high = (_number(rule[side]) for side in ("low", "high"))
        texts = [" to ".join(bound for bound in (low, high) if bound) or "any number", *texts]
    return ", ".join(texts) or "text"


def _number(bound: float) -> str:
    if not math.isfinite(bound):
        return ""
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _commands() -> str:
    """What every command says of itself."""

    def told(module: str) -> str:
        command = [sys.executable, "-m", module, "--help"]
        shown = {**os.environ, "COLUMNS": "92", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
        done = subprocess.run(command, cwd=ROOT, env=shown, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{module} --help: {done.stderr}")
        return done.stdout.strip()

    with ThreadPoolExecutor(4) as pool:
        texts = pool.map(told, [module for module, _ in COMMANDS.values()])
    return "\n".join(
        f"## {name}\n\n{what[0].upper()}{what[1:]}: `python -m {module}`, or `deepsight {name}`.\n"
        f"\n```text\n{text}\n```\n"
        for (name, (module, what)), text in zip(COMMANDS.items(), texts, strict=True)
    )
