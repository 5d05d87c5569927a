"""The test database between two tests that commit.

Django empties every table and sends ``post_migrate`` again, which makes content types, permissions and the schedule
anew: three quarters of what such a test costs. Here each test finds the rows that migrations and ``post_migrate`` left,
under the same keys, and only tables that a test wrote to are touched.
"""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

Rows = list[tuple[Any, ...]]


class EmptyDatabase:
    """What `connection`'s database holds now, to come back to."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._columns: dict[str, list[str]] = {}
        self._rows: dict[str, Rows] = {}
        for table in self._filled(self._tables()):
            with connection.cursor() as cursor:
                found = connection.introspection.get_table_description(cursor, table)
            self._columns[table] = [column.name for column in found]
            self._rows[table] = self._read(table)

    def restore(self) -> None:
        """Delete what was added since, and put back what was changed or deleted.

        In one transaction, at whose end foreign keys are checked; DELETE, since TRUNCATE makes new files for every
        table and index.
        """
        with transaction.atomic(using=self._connection.alias), self._connection.cursor() as cursor:
            added = self._filled([table for table in self._tables() if table not in self._rows])
            changed = [table for table, rows in self._rows.items() if self._read(table) != rows]
            for table in (*added, *changed):
                cursor.execute(f"DELETE FROM {self._quoted(table)}")
            for table in changed:
                columns = self._columns[table]
                names, marks = ", ".join(map(self._quoted, columns)), ", ".join(["%s"] * len(columns))
                cursor.executemany(f"INSERT INTO {self._quoted(table)} ({names}) VALUES ({marks})", self._rows[table])
        ContentType.objects.clear_cache()  # of models that a test made

    def _tables(self) -> list[str]:
        """Return every table that is there now, also a host's that a module of tests made."""
        with self._connection.cursor() as cursor:
            found = self._connection.introspection.table_names(cursor)
        return [table for table in found if table != MigrationRecorder.Migration._meta.db_table]

    def _filled(self, tables: list[str]) -> list[str]:
        """Return those of `tables` that hold a row."""
        questions = [
            f"SELECT {number} WHERE EXISTS (SELECT 1 FROM {self._quoted(table)})" for number, table in enumerate(tables)
        ]
        with self._connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(questions))
            return [tables[number] for (number,) in cursor.fetchall()]

    def _read(self, table: str) -> Rows:
        columns = ", ".join(map(self._quoted, self._columns[table]))
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {columns} FROM {self._quoted(table)} ORDER BY 1")
            return [tuple(row) for row in cursor.fetchall()]

    def _quoted(self, name: str) -> str:
        return self._connection.ops.quote_name(name)
