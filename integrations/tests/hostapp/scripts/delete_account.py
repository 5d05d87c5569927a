"""Inside of the host: an account goes, as accounts of theirs do."""

import json

import django

django.setup()

from accounts.models import Account  # noqa: E402
from billing.models import Invoice  # noqa: E402

from integrations.models import (  # noqa: E402
    AuditEntry,
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
)


def main() -> None:
    names = set(ExecutionLog.objects.filter(action="deliver").values_list("tenant_name", flat=True))
    Account.objects.get(title="Acme").delete()
    rows = {
        "integrations": TenantIntegration.objects.count(),
        "events": IntegrationEvent.objects.count(),
        "syncs": IntegrationSync.objects.count(),
        "lanes": Lane.objects.count(),
        "invoices": Invoice.objects.count(),
        "delivered for": sorted(names),
        "named in the log": AuditEntry.objects.filter(tenant_name="Acme", action="deleted").exists(),
    }
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
