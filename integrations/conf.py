"""Every setting of this app, with its default and its meaning, in one table.

A host sets ``INTEGRATIONS = {"LEASE_SECONDS": 60}`` in its Django settings; our own project fills that
dict from environment variables of the same name with the prefix ``INTEGRATIONS_`` (``from_environment``).
Read them as attributes: ``conf.LEASE_SECONDS``. Nothing is cached, so ``override_settings`` works.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

PREFIX = "INTEGRATIONS_"
MOST = 1e9  # no setting is larger: 30 years in seconds, a gigabyte

# Names from other guides → ours, and by what they are multiplied.
ALIASES: dict[str, tuple[str, float]] = {
    "CONNECTOR_RETRY_MAX_ATTEMPTS": ("HTTP_MAX_ATTEMPTS", 1),
    "CONNECTOR_RETRY_BASE_DELAY_MS": ("HTTP_BASE_SECONDS", 0.001),
    "CONNECTOR_TIMEOUT_MS": ("TIMEOUT_SECONDS", 0.001),
    "CONNECTOR_CIRCUIT_BREAKER_THRESHOLD": ("BREAKER_FAILURES_TO_OPEN", 1),
}

# django-bapp-connectors keeps its settings in a dict of its own, BAPP_CONNECTORS; ours win. (Its key:
# credentials/key_ring.py.)
BAPP_NAMES: dict[str, str] = {
    "CONNECTION_MODEL": "CONNECTION_MODEL",
    "WEBHOOK_EVENT_MODEL": "WEBHOOK_EVENT_MODEL",
    "WEBHOOK_BASE_URL": "WEBHOOK_BASE_URL",
    "ADAPTER_TIMEOUT_SECONDS": "DEFAULT_TIMEOUT",
}

DEFAULTS: dict[str, Any] = {
    # -- delivery ---------------------------------------------------------------------------------
    "LEASE_SECONDS": 60.0,  # how long a dead worker's lane stays taken; must exceed slice + deadline
    "SWEEP_SECONDS": 15.0,  # period of retry_failed_syncs; the beat row is editable in the admin
    "HINT_SECONDS": 60.0,  # a hint that nobody followed for so long is sent again by the sweep; at most LEASE_SECONDS
    "SLICE_ROWS": 100,  # rows read, sent and settled together
    "DRAIN_SECONDS": 1.0,  # a lane gives its worker back after this long: others are waiting
    "SLICE_SECONDS": 5.0,  # the same on the slow queue, where a slot costs less
    "PACE_SECONDS": 10.0,  # how long the slow queue sits out a rate limit's pause; longer ones end with a sweep
    "HOLD_SECONDS": 3600.0,  # how long a failing row may hold back later events of its own object
    "MAX_IN_FLIGHT": 8,  # parallel requests per integration, unless the integration says otherwise
    "SLOW_SECONDS": 0.5,  # a slice whose mean request took longer moves its lane to the slow queue
    "PARALLEL_SECONDS": 0.004,  # a mean request slower than this is worth threads (the GIL eats less)
    # -- retries: about three days, docs/state-machine.md ---------------------------------------------
    "RETRY_BASE_SECONDS": 15.0,
    "RETRY_FACTOR": 2.0,
    "RETRY_CAP_SECONDS": 21600.0,
    "RETRY_JITTER": 0.2,  # part of the delay, up or down; never below a Retry-After
    "RETRY_MAX_ATTEMPTS": 24,
    "RETRY_MAX_AGE_SECONDS": 259200.0,
    "RETRY_AFTER_CAP_SECONDS": 86400.0,
    # -- breaker --------------------------------------------------------------------------------------
    "AUTH_FAILURES_TO_DISABLE": 3,
    "BREAKER_FAILURES_TO_OPEN": 5,
    "BREAKER_PAUSE_SECONDS": 30.0,  # doubles with every failed probe ...
    "BREAKER_PAUSE_CAP_SECONDS": 900.0,  # ... up to this
    # -- calls that somebody waits for (HTTPClient): 0.5, 1, 2 s between attempts -----------------------
    "HTTP_MAX_ATTEMPTS": 3,  # in all, the first included; deliveries always send once and leave the rest to the lane
    "HTTP_BASE_SECONDS": 0.5,
    "HTTP_WAIT_CAP_SECONDS": 5.0,  # a longer Retry-After is not waited for: the caller gets the error
    "PUSH_WAIT_SECONDS": 30.0,  # how long a push of an order is waited for; then a worker goes on with it
    "PUSH_WAITING": 4,  # pushes of the API that one process waits for at once; others are answered 202 at once
    "MAX_READ_BYTES": 8388608,  # of an answer that is read for its content: queries, pages, issues
    # -- transport ------------------------------------------------------------------------------------
    "TIMEOUT_SECONDS": 30.0,  # total deadline of one request, body included
    "TEST_TIMEOUT_SECONDS": 5.0,  # the same for a test event, while a person waits
    "CONNECT_TIMEOUT_SECONDS": 5.0,
    "DNS_TIMEOUT_SECONDS": 5.0,
    "MAX_RESPONSE_BYTES": 65536,  # decompressed
    "ALLOW_HTTP": False,  # plain http:// targets; allow-listed hosts may always use it
    "ALLOWED_HOSTS": [],  # "host:port" that may be private, e.g. n8n:5678
    "ALLOWED_NETWORKS": [],  # subnets that may be private, e.g. 172.18.0.0/16
    "OWN_HOSTS": [],  # our own public names: never a target
    "PUBLIC_URL": "",  # ours, e.g. https://app.example.com: where providers send people back; empty: as they reached us
    "SMTP_EHLO_NAME": "",  # how we greet mail servers; empty: the host of PUBLIC_URL, without that our address
    "CA_BUNDLE": "",  # a PEM file instead of certifi's
    # -- connectors -----------------------------------------------------------------------------------
    "HEALTH_CHECK_SECONDS": 900.0,  # period of the health checks of each integration, ± 20 %; 0: none
    "CONFIG_CACHE_SECONDS": 5.0,  # system-wide configurations are read again after this long at the latest
    "LOGGER_PREFIX": "integrations",  # loggers of connectors: <prefix>.<name>
    "TEMPLATE_DIRS": [],  # folders with connector templates (YAML) beside our own
    "SEVERAL_ACTIVE": [],  # families whose connectors allow one active integration per tenant, and shall not
    "DROPZONE_ROOTS": [],  # folders of this machine below which tenants may have files dropped
    "ADAPTER_TIMEOUT_SECONDS": 0.0,  # one request of get_adapter(); 0: as deliveries have it, else 10
    # -- the way back ---------------------------------------------------------------------------------
    "CONNECTION_MODEL": "integrations.TenantIntegration",  # whose webhooks come in: "app_label.Model"
    "WEBHOOK_EVENT_MODEL": "integrations.WebhookEvent",  # where they are stored
    "WEBHOOK_BASE_URL": "",  # of webhooks/, as providers reach it; empty: below PUBLIC_URL
    "INBOUND_BY_KEY": True,  # a connection's integer key in an address counts too
    "INBOUND_CAUSED_PER_HOUR": 30,  # events of one object that integrations may cause by calling back
    "INBOUND_COPY_SECONDS": 600.0,  # how long the same body without an id is a copy, and not a new call
    "INBOUND_PER_MINUTE": 600,  # webhooks of one connection that are stored; more are answered 429
    "INBOUND_REFUSED_PER_MINUTE": 10,  # calls of one connection that prove nothing; more are answered 429
    "INBOUND_MAX_BYTES": 1_048_576,  # of one webhook's body; at most 25 MiB, as GitHub sends
    "INBOUND_LEASE_SECONDS": 90.0,  # how long one webhook may be worked at before another worker takes it over
    "PULL_SECONDS": 20.0,  # a pull gives its worker back after this long, and sends itself on
    "PULL_LEASE_SECONDS": 120.0,  # how long a dead worker's pull stays taken; processing one page must take less
    "PULL_MAX_PAGES": 10000,  # of one run: against providers whose list never ends
    "PULL_RETRY_CAP_SECONDS": 900.0,  # the longest pause after failures, unless the provider asks for more
    # -- credentials ----------------------------------------------------------------------------------
    "ROTATION_OVERLAP_SECONDS": 86400.0,  # how long the old signing secret still signs beside the new one
    "ROTATE_EVERY_DAYS": 90,
    "SECRETS_DIR": "",  # file:name in a secret field is <SECRETS_DIR>/<tenant slug>/name; "": no references
    "SECRETS_ENV_PREFIX": "",  # env:NAME is the variable <prefix><TENANT_SLUG>_NAME; "": no references
    # -- payload --------------------------------------------------------------------------------------
    "MAX_BODY_BYTES": 262144,
    # -- housekeeping ---------------------------------------------------------------------------------
    "RETENTION_DAYS": 30,  # settled rows, events nobody waits for any more, execution logs
    "RETENTION_BATCH": 1000,
    "HEARTBEAT_STALE_SECONDS": 120.0,
}


def _cast(name: str, raw: str) -> Any:
    """Turn an environment string into the type of the setting's default."""
    default = DEFAULTS[name]
    try:
        if isinstance(default, bool):
            if raw.strip().lower() not in {"0", "1", "false", "true", "no", "yes", "off", "on"}:
                raise ValueError("expected true or false")
            return raw.strip().lower() in {"1", "true", "yes", "on"}
        if isinstance(default, list):
            text = raw.strip()
            return json.loads(text) if text.startswith("[") else [p.strip() for p in text.split(",") if p.strip()]
        if isinstance(default, int | float):
            return number(raw, PREFIX + name, whole=isinstance(default, int))
        return raw
    except ValueError as error:
        raise ImproperlyConfigured(f"{PREFIX}{name}={raw!r}: {error}") from None


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the ``INTEGRATIONS`` dict that the variables ``INTEGRATIONS_*`` of `environ` describe.

    The names of `ALIASES` are understood too; ours win.

    Raises:
        ImproperlyConfigured: an unknown name (a typo would otherwise be silent) or an unreadable value.
    """
    found = {key.removeprefix(PREFIX): raw for key, raw in environ.items() if key.startswith(PREFIX)}
    if unknown := sorted(set(found) - set(DEFAULTS)):
        raise ImproperlyConfigured(f"unknown setting(s): {', '.join(PREFIX + name for name in unknown)}")
    return {**_aliased(environ), **{name: _cast(name, raw) for name, raw in found.items()}}


def _aliased(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for alias, (name, factor) in ALIASES.items():
        if raw := environ.get(alias, "").strip():
            values[name] = number(raw, alias, whole=isinstance(DEFAULTS[name], int)) * factor
    return values


def number(raw: str, name: str, *, whole: bool) -> int | float:
    """Return the number that the environment variable `name` says.

    Raises:
        ImproperlyConfigured: it is none, negative, infinite or absurd: nothing starts with it.
    """
    try:
        found = int(raw) if whole else float(raw)
    except ValueError:
        found = -1
    if not 0 <= found < MOST:  # also false for NaN
        kind = "a whole number" if whole else "a number"
        raise ImproperlyConfigured(f"{name}={raw!r}: expected {kind} that is not negative")
    return found


def tenant_label() -> str:
    """Return ``INTEGRATIONS_TENANT_MODEL``, the "app_label.Model" to which everything of a tenant refers.

    A setting of its own, as AUTH_USER_MODEL is: migrations name it.

    Raises:
        ImproperlyConfigured: it is not set.
    """
    label = getattr(settings, "INTEGRATIONS_TENANT_MODEL", None)
    if not isinstance(label, str) or label.count(".") != 1:
        raise ImproperlyConfigured(
            f'INTEGRATIONS_TENANT_MODEL must name your tenant model, as "accounts.Account", not {label!r}.'
        )
    return label


def is_set(name: str) -> bool:
    """Tell whether somebody has set `name`: what a kind of system says is better than our default, and no more."""
    return name in getattr(settings, "INTEGRATIONS", {})


def is_named(name: str) -> bool:
    """Tell whether the host's settings say anything about `name`, in either family."""
    theirs = getattr(settings, "BAPP_CONNECTORS", None) or {}
    return name in getattr(settings, "INTEGRATIONS", {}) or BAPP_NAMES.get(name, "") in theirs


def __getattr__(name: str) -> Any:
    if name not in DEFAULTS:
        raise AttributeError(f"no such integration setting: {name}")
    own = getattr(settings, "INTEGRATIONS", {})
    if name not in own and name in BAPP_NAMES:
        return (getattr(settings, "BAPP_CONNECTORS", None) or {}).get(BAPP_NAMES[name], DEFAULTS[name])
    return own.get(name, DEFAULTS[name])
