"""Pages of reports, read by a parser of their own."""

from html.parser import HTMLParser

EVIL = "<script>alert('x')</script>&\"$|`*"
"""A name that somebody chose."""


class Page(HTMLParser):
    """Elements, texts and attributes of a page, by a parser of its own."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.scripts, self.styles, self.text, self.addresses = [], [], [], [], []
        self.handlers, self.policy = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.inside.append(tag)
        self.addresses += [v for k, v in attributes if k in ("src", "href", "action")]
        self.handlers += [k for k, _ in attributes if k.startswith("on") or k == "style"]
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "script" and given.get("type") != "application/json":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")
        self.data_block = tag == "script" and given.get("type") == "application/json"

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        tag = self.inside[-1] if self.inside else ""
        if tag == "script" and not self.data_block:
            self.scripts[-1] += data
        elif tag == "style":
            self.styles[-1] += data
        elif tag != "script":
            self.text.append(data)


def words(page):
    return " ".join("".join(Page(page).text).split())
