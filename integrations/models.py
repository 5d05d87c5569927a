"""Index of the models; each lives beside the code that owns it."""

from .api_keys.models import APIKey, IdempotentRequest
from .audit.models import AbstractExecutionLog, ExecutionLog
from .audit.trail import AuditEntry
from .configuration.models import (
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    IntegrationConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)
from .connections.abstract import AbstractConnection
from .connections.grants import ConnectionGrant, OAuthGrant, OAuthRequest
from .connections.models import EventSubscription, TenantIntegration
from .delivery.models import Lane
from .erp.connection import ERPConnection
from .erp.push_log import ERPPushLog
from .health.alert import Alert, AlertMail, AlertMute
from .inbound.models import AbstractWebhookEvent, WebhookEvent
from .jobs.models import Job
from .observability.models import Heartbeat, ProcessHeartbeat
from .outbox.models import IntegrationEvent, IntegrationSync
from .pull.models import AbstractSyncState, SyncState
from .statistics.models import IntegrationFigures, RollUp, TenantFigures, TotalFigures

__all__ = [
    "APIKey",
    "AbstractConnection",
    "AbstractExecutionLog",
    "AbstractSyncState",
    "AbstractWebhookEvent",
    "Alert",
    "AlertMail",
    "AlertMute",
    "AuditEntry",
    "ConnectionGrant",
    "ERPConnection",
    "ERPPushLog",
    "EventSubscription",
    "ExecutionLog",
    "GeminiConfiguration",
    "GitHubConfiguration",
    "GraphConfiguration",
    "Heartbeat",
    "IdempotentRequest",
    "IntegrationConfiguration",
    "IntegrationEvent",
    "IntegrationFigures",
    "IntegrationSync",
    "Job",
    "Lane",
    "OAuthGrant",
    "OAuthRequest",
    "OpenAIConfiguration",
    "ProcessHeartbeat",
    "RollUp",
    "SyncState",
    "TenantFigures",
    "TenantIntegration",
    "TotalFigures",
    "WeaviateConfiguration",
    "WebhookEvent",
]
