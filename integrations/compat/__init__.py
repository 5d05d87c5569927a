"""Names that other guides use for what this project has under its own name, so that code written after them runs.

Nothing else is in this package: no behaviour, and no name that the rest of the project uses.

    their name                                   ours                                       mapped in
    -------------------------------------------  -----------------------------------------  --------------
    ConnectorError                               IntegrationError                           errors.py
    TenantIntegration.event_type                 its first subscription                     integration.py
    TenantIntegration.provider_name              integration_type                           integration.py
    TenantIntegration.display_name               name                                       integration.py
    ERPConnection.org_id, connector_type         tenant_id, integration_type                erp.py
    ERPConnection.status                         is_active and is_enabled                   erp.py
    ERPConnection.uuid                           public_id                                  erp.py
    ERPPushLog.org_id, draft_order_id,           columns of the sync, its event and its     erp.py
      connector_type, idempotency_key,             integration
      created_at, status, retry_count, …
    settings CONNECTOR_…, BAPP_CONNECTORS        INTEGRATIONS_…                             ../conf.py

Columns may be used under either name: as attributes, in the constructor, and in ``filter``, ``exclude``, ``get``,
``Q``, ``order_by``, ``values`` and ``values_list`` (columns.py). ``F()`` and ``annotate`` take our names only.
"""
