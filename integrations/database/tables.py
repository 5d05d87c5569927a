"""Which tables a database has."""

from __future__ import annotations

from django.db import connections, models, router


def has_tables(using: str, *tables: type[models.Model]) -> bool:
    """Tell whether the tables of these models are in the database `using`, and belong there.

    A database router may keep them out of it; after a ``migrate`` of another app, they may be yet to come.
    """
    if not all(router.allow_migrate_model(using, model) for model in tables):
        return False
    return {model._meta.db_table for model in tables} <= set(connections[using].introspection.table_names())
