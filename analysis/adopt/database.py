"""Databases of others, read and never changed: a file of SQLite, or a server by its address.

SQLite has ways to change a folder while it reads: a database with a write-ahead log gets two files
beside it, and a torn transaction is rolled back. So a file is opened read-only; where a log or a
journal lies beside it, both are copied to a temporary place first, as they stand together. Only
plain tables are read: views and virtual tables could run what a stranger wrote.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol

from deepsight.config import UserError
from deepsight.files import open_file

MAGIC = b"SQLite format 3\0"
MOST_ROWS = 20_000_000
"""Of one table: 10,000 trials of 100 epochs with 20 metrics."""
_SERVER = re.compile(r"(postgresql|postgres|mysql|mariadb|oracle|mssql)(\+\w+)?://")
_FILE = re.compile(r"sqlite(\+pysqlite)?:///(.+)", re.DOTALL)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}


class Database(Protocol):
    """An open database."""

    @property
    def tables(self) -> Mapping[str, frozenset[str]]:
        """The columns of every plain table."""

    def rows(
        self, table: str, columns: tuple[str, ...], where: str = "", **values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a table.

        Args:
            table: Its name.
            columns: What is asked of each row.
            where: A condition, with ``:name`` for each of `values`.
            values: By their names in `where`.
        """


def is_database(source: str) -> bool:
    """Whether `source` is a file of SQLite, or the address of a database as SQLAlchemy has it."""
    if _SERVER.match(source):
        return True
    try:
        return beginning(sqlite_path(source), len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of a plain file, which may be reached by a link.

    Raises:
        OSError: If it is not there or cannot be opened.
        FileRefusedError: If it is something else.
    """
    path = path.resolve()
    with os.fdopen(open_file(path.parent, [path.name]), "rb") as file:
        return file.read(size)


def sqlite_path(source: str) -> Path:
    """The file that a path or an address ``sqlite:///PATH`` names."""
    found = _FILE.fullmatch(source)
    return Path(found[2].partition("?")[0] if found else source)


def shown(source: str) -> str:
    """`source` without the password that an address may hold."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", source)


def has_tables(source: str, *names: str) -> bool:
    """Whether `source` is a database with all these tables; False where it cannot be read."""
    if not is_database(source):
        return False
    try:
        with opened(source) as database:
            return set(names) <= database.tables.keys()
    except UserError:
        # a server that cannot be reached is taken for what is asked first, which says why
        return _SERVER.match(source) is not None


@contextmanager
def opened(source: str) -> Iterator[Database]:
    """A database, to be read.

    Raises:
        UserError: If it cannot be opened or read, while it is open too.
    """
    if _SERVER.match(source):
        with _server(source) as server:
            yield server
        return
    path = sqlite_path(source)
    try:
        with tempfile.TemporaryDirectory() as spare, _readable(path, Path(spare)) as address:
            connection = sqlite3.connect(address, uri=True)
            try:
                yield _SqliteFile(connection)
            finally:
                connection.close()
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"{path} cannot be read as a database of SQLite: {error}.",
            "Give a whole copy: sqlite3 FILE '.backup COPY' makes one while others write.",
        ) from error


@contextmanager
def as_written(where: str) -> Iterator[None]:
    """Within it, what no tool writes (a text for a number, nothing for a name) is a user's error.

    Args:
        where: What is read, without a password.

    Raises:
        UserError: In place of what comparing and converting such a value raises.
    """
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"{where} holds what the tool does not write ({reason}).", "Give a whole copy of it."
        ) from error


@contextmanager
def _readable(path: Path, spare: Path) -> Iterator[str]:
    """The address under which SQLite reads `path` without a trace."""
    path = path.resolve()
    beside = [path.name + end for end in ("-wal", "-journal")]
    head = beginning(path, 20)
    logged = [name for name in beside if _holds_something(path.parent / name)]
    if logged:
        _copy_as_they_stand(path.parent, [path.name, *logged], spare)
        yield f"{(spare / path.name).as_uri()}?mode=rw"
    elif head[18:20] == b"\2\2":  # a write-ahead log, none there: opening would make one
        yield f"{path.as_uri()}?mode=ro&immutable=1"
    else:
        yield f"{path.as_uri()}?mode=ro"


def _holds_something(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0
    except OSError:
        return False


def _copy_as_they_stand(folder: Path, names: list[str], target: Path) -> None:
    """Copy files that belong together, at a moment when nobody wrote to them."""
    for _ in range(5):
        before = _stamps(folder, names)
        with suppress(FileNotFoundError):
            for name in names:
                with (
                    os.fdopen(open_file(folder, [name]), "rb") as file,
                    (target / name).open("wb") as copy,
                ):
                    shutil.copyfileobj(file, copy, 1 << 20)
        if _stamps(folder, names) == before:
            return
    raise UserError(
        f"{folder / names[0]} changes while it is read.",
        "Wait until the search rests, or give a copy: sqlite3 FILE '.backup COPY'.",
    )


def _stamps(folder: Path, names: list[str]) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for name in names:
        try:
            status = (folder / name).lstat()
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


class _SqliteFile:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA trusted_schema = OFF")
        plain = [
            name
            for name, sql in connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
            )
            if re.match(r"\s*CREATE\s+TABLE\b", str(sql), re.IGNORECASE)
        ]
        self.tables = {
            name: frozenset(
                row[1] for row in connection.execute(f"PRAGMA table_info({_sql(name)})")
            )
            for name in plain[:1000]
        }
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
        )

    def rows(
        self, table: str, columns: tuple[str, ...], where: str = "", **values: Any
    ) -> Iterator[tuple[Any, ...]]:
        listed = ", ".join(map(_sql, columns))
        condition = f" WHERE {where}" if where else ""
        query = f"SELECT {listed} FROM {_sql(table)}{condition} LIMIT {MOST_ROWS + 1}"  # noqa: S608
        yield from _at_most(table, self._connection.execute(query, values))


def _sql(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _at_most(table: str, rows: Any) -> Iterator[tuple[Any, ...]]:
    for count, row in enumerate(rows):
        if count == MOST_ROWS:
            raise UserError(
                f"table {table} has more than {MOST_ROWS:,} rows.", "Copy one study out of it."
            )
        yield tuple(row)


@contextmanager
def _server(address: str) -> Iterator[Database]:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:  # never committed: what is not read is undone
            yield ServerDatabase(connection)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{shown(address)} needs {error.name}, which is not installed.",
            f"pip install {error.name}.",
        ) from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        _unreachable(address, getattr(error, "orig", None) or error)


def _unreachable(address: str, error: object) -> NoReturn:
    reason = " ".join(str(error).split())[:300]
    raise UserError(
        f"{shown(address)} cannot be read: {reason}.",
        "Check address, user and password, and that the server runs.",
    )


class ServerDatabase:
    """A database behind a connection of SQLAlchemy, which writes its dialect."""

    def __init__(self, connection: Any) -> None:
        import sqlalchemy

        self._connection = connection
        look = sqlalchemy.inspect(connection)
        self.tables: dict[str, frozenset[str]] = {
            name: frozenset(column["name"] for column in look.get_columns(name))
            for name in look.get_table_names()[:1000]
        }

    def rows(
        self, table: str, columns: tuple[str, ...], where: str = "", **values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """As `Database` says."""
        import sqlalchemy

        asked = sqlalchemy.table(table, *map(sqlalchemy.column, columns))
        query = sqlalchemy.select(*asked.columns).select_from(asked)
        if where:
            query = query.where(sqlalchemy.text(where))
        yield from _at_most(table, self._connection.execute(query, values))
