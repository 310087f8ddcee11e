"""Reads YAML of people: a file of bounded size, without aliases, tags of Python or huge numbers."""

from __future__ import annotations

from pathlib import Path

import yaml

from deepsight.config import UserError
from deepsight.files import read_file

MOST_BYTES = 1 << 16


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
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise UserError(
            f"{what} {path} cannot be read: {reason}.", "It is a YAML file of key: value."
        ) from error


class _Loader(yaml.SafeLoader):
    """YAML without aliases, whose tables can grow without end, and of numbers of 64 bits."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):  # type: ignore[no-untyped-call]
            raise yaml.YAMLError("aliases (*name) are not read: write the values out")
        return super().compose_node(parent, index)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse more than 64 bits."""
        number = super().construct_yaml_int(node)
        if abs(number) >= 2**63:
            raise yaml.YAMLError(f"{node.value[:20]}... has more than 64 bits")
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
