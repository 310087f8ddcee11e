"""A document as one page of HTML.

The page opens without a server and asks no address for anything. Its content-security policy lets
run only the scripts whose hashes it names; jinja2 escapes whatever came from users.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.page.document import Browser, Document, Interactive, links, numeric, plain
from deepsight.notebook import cell

PAGE = Path(__file__).parent


def to_html(document: Document, figures: Path) -> str:
    """The page as one text, figures and scripts inside."""
    blocks = [block for section in document.sections for block in section.blocks]
    plot = any(isinstance(block, Interactive) for block in blocks)
    scripts = [plotly_source()] if plot else []
    scripts.append((PAGE / "report.js").read_text("utf-8"))
    if any(isinstance(block, Browser) for block in blocks):
        scripts.append((PAGE / "browser.js").read_text("utf-8"))
    css = (PAGE / "report.css").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(PAGE),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        document=document,
        policy=_policy([css, ""], scripts),
        css=Markup(css),
        scripts=[Markup(s) for s in scripts],
        own_styles=_style_ids(scripts[0]) if plot else [],
        image=lambda picture: _data_uri(figures / f"{picture.name}.png"),
        script_json=lambda value: Markup(_script_json(value)),
        cell=cell,
        numeric=numeric,
        links=links,
    )


def _policy(styles: list[str], scripts: list[str]) -> str:
    """Nothing may be fetched, and only these styles and scripts apply."""
    style_hashes, script_hashes = (" ".join(map(_hash, texts)) for texts in (styles, scripts))
    return (
        f"default-src 'none'; script-src {script_hashes}; style-src {style_hashes}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def plotly_source() -> str:
    """Plotly's script, of the installed version."""
    from plotly.offline import get_plotlyjs

    # a browser normalises line ends before it hashes
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("</script", "<\\/script")


def _style_ids(source: str) -> list[str]:
    """Ids of the style elements that plotly would make; the policy refuses those with content.

    The global one gets its rules through the CSSOM, which the policy allows; those with a hash for
    a name belong to maps, which no figure of ours draws. An empty element of that id stands in.
    """
    found = re.findall(r'getElementById\("([0-9a-f]{64})"\)', source)
    return ["plotly.js-style-global", *dict.fromkeys(found)]


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _script_json(value: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
