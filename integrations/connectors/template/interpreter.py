"""What makes a connector of a template; a subclass is the code behind all templates that name it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

from integrations.connectors.base import BaseConnector

from .schema import Template


class TemplateInterpreter(BaseConnector):
    """Base of the connectors that do what a template says; by itself it is no kind, and not offered to tenants."""

    template: ClassVar[Template]

    @classmethod
    def for_template(cls, template: Template) -> type[Self]:
        """Return the connector that `template` describes."""
        name = f"{template.manifest.key.title().replace('-', '').replace('_', '')}Template"
        members = {
            "__doc__": template.manifest.description,
            "manifest": template.manifest,
            "template": template,
            "faults": tuple(replace(rule.fault, code=str(rule.when)) for rule in template.errors),
        }
        return type(name, (cls,), {"__module__": cls.__module__, **members})
