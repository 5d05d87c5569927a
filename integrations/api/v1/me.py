"""Who calls, and what they may do: what a program asks to see whether its key works."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from integrations.api.caller import Program, caller_of
from integrations.tenancy.tenant import name_of, slug_of

from .document import example
from .problems import PROBLEMS

router = Router(tags=["Caller"])
MOST_TENANTS = 100


class TenantOut(Schema):
    """A tenant of the caller."""

    id: str
    slug: str | None
    name: str


class MeOut(Schema):
    """Who calls."""

    model_config = example(
        {
            "name": "API key n8n",
            "tenants": [{"id": "7", "slug": "acme-corp", "name": "Acme Corp"}],
            "scopes": ["read", "workitems:write"],
            "expires_at": None,
        }
    )

    name: str
    tenants: list[TenantOut] = Field(description=f"at most {MOST_TENANTS}")
    scopes: list[str] | None = Field(description="of an API key; null: a person, whose role decides")
    expires_at: datetime | None = Field(description="of an API key")


@router.get("", response={200: MeOut, **PROBLEMS}, summary="Read who calls", url_name="me")
def me(request: HttpRequest) -> Any:
    """Return who you are here. Any key may ask this: it is how to try one."""
    caller = caller_of(request)
    key = caller.key if isinstance(caller, Program) else None
    return {
        "name": caller.name,
        "tenants": [
            {"id": str(tenant.pk), "slug": slug_of(tenant), "name": name_of(tenant)}
            for tenant in caller.tenants().order_by("pk")[:MOST_TENANTS]
        ],
        "scopes": key.scopes if key is not None else None,
        "expires_at": key.expires_at if key is not None else None,
    }
