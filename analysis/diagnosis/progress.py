"""A bar with the time left, on standard error; silent where nobody asked for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
"""Takes what is to be done and its name, and hands it out one by one."""


def silent(items: Sequence[Any], title: str) -> Iterable[Any]:
    """Show nothing."""
    return items


def bar(items: Sequence[Any], title: str) -> Iterator[Any]:
    """Show a bar with the time left; only its end where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as shown:
        yield from shown.track(items, description=title, total=len(items))
