"""The project's source files, parsed: what `tests/test_architecture.py` judges."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("deepsight", "analysis", "search_spaces", "benchmarks")


@dataclass(frozen=True)
class Import:
    name: str
    """The module, or the name in it, as dotted text."""
    line: int
    at_top: bool
    """Whether it runs when the module is imported."""


class Module:
    """One source file, parsed."""

    def __init__(self, name: str, source: str, path: Path | None = None) -> None:
        self.name, self.source, self.path = name, source, path
        self.tree = ast.parse(source)

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def imports(self) -> list[Import]:
        found = []
        top = set(map(id, _executed_on_import(self.tree)))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.name}: imports are absolute"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found += [Import(name, node.lineno, id(node) in top) for name in names]
        return found


def _executed_on_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed_on_import(child)


@cache
def modules() -> dict[str, Module]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            name = name.removesuffix(".__init__")
            found[name] = Module(name, path.read_text("utf-8"), path.relative_to(ROOT))
    return found


def within(name: str, unit_name: str) -> bool:
    return name == unit_name or name.startswith(unit_name + ".")


def loaded_by(name: str) -> set[str]:
    """The roots of all third-party modules that importing `name` loads, directly or not."""
    seen: set[str] = set()
    libraries: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for imported in modules()[current].imports:
            if not imported.at_top:
                continue
            target = _module_of(imported.name)
            if target:
                waiting.append(target)
            else:
                libraries.add(imported.name.partition(".")[0])
    return libraries


def _module_of(name: str) -> str | None:
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name or None


def functions(module: Module) -> Iterator[tuple[str, int]]:
    """Every function with its length in lines, docstring not counted."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node):
                first = node.body[0]
                assert first.end_lineno is not None
                lines -= first.end_lineno - first.lineno + 1
            yield f"{module}.{node.name}", lines


def mentions_open_test(module: Module) -> bool:
    names = [imported.name for imported in module.imports]
    names += [n.id for n in ast.walk(module.tree) if isinstance(n, ast.Name)]
    names += [n.attr for n in ast.walk(module.tree) if isinstance(n, ast.Attribute)]
    return any(name.endswith("open_test") for name in names)


def only_names(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, `__all__`, an import or a table of texts."""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    listed = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    table = isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
    if table and not all(isinstance(v, ast.Constant) for v in node.value.values):
        return False
    return docstring or listed or table or isinstance(node, ast.ImportFrom)
