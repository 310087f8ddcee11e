"""Reads YAML of people: a file of bounded size, without aliases, tags of Python or huge numbers.

A key that stands twice in one table is refused: the first would go unheard.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from deepsight.config import UserError
from deepsight.files import read_file

MOST_BYTES = 1 << 16


def find_yaml(name: str, bundled: Path) -> Path | None:
    """A file by its path, or by its name in a folder of ours; None where there is none.

    Args:
        name: What a person typed.
        bundled: The folder of ours, where ``.yaml`` may be left away.
    """
    for path in (Path(name), bundled / name, bundled / f"{name}.yaml"):
        try:
            if path.is_file():
                return path
        except OSError:  # longer than a name can be, or below a folder that is closed to us
            continue
    return None


def read_yaml(path: Path, what: str) -> object:
    """The content of a YAML file.

    Args:
        path: May be reached by a link.
        what: What the file is, for errors (``experiment``).

    Raises:
        UserError: If it is missing, too large, no plain file or no YAML of plain values.
    """
    real = path.resolve()
    try:
        text = read_file(real.parent, [real.name], MOST_BYTES).decode("utf-8")
        return yaml.load(text, _Loader)  # noqa: S506 (it is a SafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError, *_BAD_TAGS) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        if isinstance(error, _BAD_TAGS):
            reason = "a value is not of the type that its tag (!!type) says"
        raise UserError(
            f"{what} {path} cannot be read: {reason}.", "It is a YAML file of key: value."
        ) from error


_BAD_TAGS = (KeyError, AttributeError)
"""What PyYAML lets out for ``!!bool x`` and ``!!timestamp x``."""


class _Loader(yaml.SafeLoader):
    """YAML without aliases, whose tables can grow without end, and of numbers of 64 bits."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):  # type: ignore[no-untyped-call]
            raise yaml.YAMLError("aliases (*name) are not read: write the values out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Refuse a key that stands twice."""
        written = [(k.tag, k.value) for k, _ in node.value if isinstance(k, yaml.ScalarNode)]
        for key in written:
            if written.count(key) > 1:
                raise yaml.YAMLError(f"{key[1]} stands twice in one table")
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse more than 64 bits."""
        number = super().construct_yaml_int(node)
        if abs(number) >= 2**63:
            raise yaml.YAMLError(f"{node.value[:20]}... has more than 64 bits")
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
