"""A list is filtered by what its filters name, and by nothing else that stands in its address.

Django lets everybody filter by every column of the model itself. Whoever may see a list could so ask letter by letter
for what its pages hide (``?payload__token__startswith=a``), and a pattern that is none would be an error of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.filters import SimpleListFilter
from django.contrib.admin.widgets import url_params_from_lookup_dict
from django.http import HttpRequest

from integrations.admin.pages.page_context import SecretPages
from integrations.admin.tenancy.scoped_admin import NothingToTell

# What Django's own filters, and a bookmark, ask of a column that is listed; none of them looks inside of a value.
COMPARISONS = ("exact", "in", "isnull", "isempty", "gt", "gte", "lt", "lte")


class ListedFilters(SecretPages, NothingToTell):
    """Mixed into a ModelAdmin whose model has columns that its pages do not show as they are.

    What is not allowed is answered 400, as by Django itself.
    """

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self._listed(request) or self._is_choice_of_a_popup(lookup, value)

    def _listed(self, request: Any) -> Iterator[str]:
        for each in self.get_list_filter(request):
            if isinstance(each, type) and issubclass(each, SimpleListFilter):
                yield str(each.parameter_name)
                continue
            name = str(each[0] if isinstance(each, list | tuple) else each)
            yield name
            for path in (name, *self._keys(name)):
                yield from (f"{path}__{comparison}" for comparison in COMPARISONS)
        if self.date_hierarchy:
            parts = ("year", "month", "day", "gte", "lt")
            yield from (f"{self.date_hierarchy}__{part}" for part in parts)

    def _keys(self, name: str) -> Iterator[str]:
        """Yield the spelling by which Django's filter of a relation asks for one row: ``company__id``."""
        model: Any = self.model
        field: Any = None
        for part in name.split("__"):
            field = next((each for each in model._meta.get_fields() if each.name == part), None)
            if field is None or not field.is_relation:
                return
            model = field.related_model
        key = getattr(field, "target_field", model._meta.pk)
        yield f"{name}__{key.name}"

    def _is_choice_of_a_popup(self, lookup: str, value: str) -> bool:
        """Tell whether another model's ``limit_choices_to`` asks this, of the list in which a key is picked."""
        for limit in self.model._meta.related_fkey_lookups:
            asked = url_params_from_lookup_dict(limit() if callable(limit) else limit)
            if (lookup, value) in asked.items():
                return True
        return False
