"""Panels: what another app shows on the page of an object whose app does not know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.http import HttpRequest


@dataclass(frozen=True)
class Panel:
    """A section of an object's page, contributed by an app that this object's app does not know."""

    title: str
    body: Callable[[HttpRequest, Any], str]
    css: tuple[str, ...] = ()
    applies: Callable[[type[models.Model]], bool] = lambda model: True  # asked at each page, when all apps are ready
    wanted: Callable[[Any], bool] = lambda obj: True  # for this object; asked after `applies`


_panels: dict[str, list[Panel]] = {}
_EVERYWHERE = ""


def register_panel(model: type[models.Model] | None, panel: Panel) -> None:
    """Show `panel` on the change pages of `model` (None: of every model that it applies to).

    Only pages of a `TenantScopedAdmin` have panels.
    """
    _panels.setdefault(model._meta.label_lower if model else _EVERYWHERE, []).append(panel)


def panels_of(model: type[models.Model]) -> list[Panel]:
    """Return the panels of `model` that apply now."""
    found = [*_panels.get(model._meta.label_lower, ()), *_panels.get(_EVERYWHERE, ())]
    return [panel for panel in found if panel.applies(model)]


def panel_field(request: HttpRequest, panel: Panel, number: int) -> Callable[[Any], str]:
    def field(obj: Any) -> str:
        return panel.body(request, obj)

    field.__name__ = f"panel_{number}"
    field.short_description = panel.title  # type: ignore[attr-defined]
    return field
