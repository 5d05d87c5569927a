"""Every setting of this library: its type, default, limits and meaning, declared once in `Settings`.

A host sets ``INTEGRATIONS = {"LEASE_SECONDS": 60}`` in its Django settings; the example project fills that dict from
environment variables of the same name with the prefix ``INTEGRATIONS_`` (`from_environment`). Code reads the values
as attributes of this module: ``conf.LEASE_SECONDS``. Each is looked up once and kept until Django says that the
settings changed (``override_settings`` does); setting a key of that dict later changes nothing.

Nothing starts with a wrong value or an unknown name (`refuse_problems`). ``manage.py integration_settings`` writes
the table in docs/settings.md.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "INTEGRATIONS_"
# Settings of their own, not keys of INTEGRATIONS: see tenant_label().
BY_THEMSELVES = ("TENANT_MODEL", "TENANTS_OF", "ROLE_OF", "ROLES_OF", "PEOPLE", "ADMIN_PAGES")
LARGEST = 1_000_000_000  # of any number: 30 years in seconds, a gigabyte
MOST_INBOUND_BYTES = 26_214_400  # 25 MiB, the most that GitHub sends

_REST_OF_LABEL = "(?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME = rf"(?:[A-Za-z0-9]{_REST_OF_LABEL}\.)+[A-Za-z]{_REST_OF_LABEL}"  # a full one, and no address


def _declared(default: Any, meaning: str, allowed: str, **limits: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **limits)


def _number(default: float, meaning: str, *, least: int | None = None, most: int = LARGEST) -> Any:
    """Declare a number from `least` to `most`; without `least`, one above 0."""
    if isinstance(default, int):
        least = 1 if least is None else least
        return _declared(default, meaning, f"a whole number from {least} to {most}", ge=least, le=most)
    if least is None:
        return _declared(default, meaning, f"a number above 0 and at most {most}", gt=0, le=most)
    return _declared(default, meaning, f"a number from {least} to {most}", ge=least, le=most)


def _switch(default: bool, meaning: str) -> Any:
    return _declared(default, meaning, "true or false")


def _text(default: str, meaning: str) -> Any:
    return _declared(default, meaning, "a text")


def _matching(pattern: str, meaning: str, allowed: str) -> Any:
    """Declare a text that is empty or matches `pattern`, which `allowed` says in words."""
    return _declared("", meaning, f"{allowed}, or empty", pattern=f"^(?:{pattern})?$", max_length=253)


def _address(meaning: str) -> Any:
    return _matching(r"https?://\S+", meaning, "an address that begins with https:// or http://")


def _texts(meaning: str) -> Any:
    return _declared([], meaning, "a list of texts")


class Settings(BaseModel):
    """The settings, with their defaults. The descriptions are Markdown: docs/settings.md shows them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True)

    # -- delivery -----------------------------------------------------------------------------------------
    LEASE_SECONDS: float = _number(
        60.0,
        "how long the lane of a dead worker stays taken; must be longer than the longer of `SLICE_SECONDS` and "
        "`DRAIN_SECONDS`, plus `PACE_SECONDS` and `TIMEOUT_SECONDS` (checked)",
    )
    HINT_SECONDS: float = _number(
        60.0,
        "how long a hint may go unanswered before the sweep or a save sends it again; never longer than the lease",
    )
    SWEEP_SECONDS: float = _number(
        15.0, "period of the sweep **when its row is first made**; afterwards edit the row in the admin"
    )
    SLICE_ROWS: int = _number(
        100,
        "objects started in one slice (a quarter more if retries are due); with the later rows of these objects, "
        "about twice as many rows are read and settled together",
        most=10_000,
    )
    DRAIN_SECONDS: float = _number(
        1.0, "how long one look at a lane starts requests, on the queue `deliveries`; one is started in any case"
    )
    SLICE_SECONDS: float = _number(5.0, "the same on the queue `slow`, where a slot costs less")
    HOLD_SECONDS: float = _number(3600.0, "how long a failing event holds back later events of its own object")
    MAX_IN_FLIGHT: int = _number(8, "parallel requests per integration, unless it has its own number", most=64)
    PACE_SECONDS: float = _number(
        10.0,
        "how long the slow queue waits for a rate limit to pass; after a longer one, the sweep finds the lane",
        least=0,
    )
    SLOW_SECONDS: float = _number(0.5, "mean request time above which a lane moves to `slow`")
    PARALLEL_SECONDS: float = _number(
        0.004, "mean request time above which a slice uses threads (never while requests fail)", least=0
    )

    # -- retries: about three days (docs/state-machine.md) ------------------------------------------------
    RETRY_BASE_SECONDS: float = _number(15.0, "first delay")
    RETRY_FACTOR: float = _number(2.0, "growth of the delay")
    RETRY_CAP_SECONDS: float = _number(21600.0, "longest delay")
    RETRY_JITTER: float = _number(
        0.2, "part by which a delay varies, up or down; never below a `Retry-After`", least=0, most=1
    )
    RETRY_MAX_ATTEMPTS: int = _number(24, "attempts of a delivery in all, unless the integration has its own number")
    RETRY_MAX_AGE_SECONDS: float = _number(259200.0, "a failure at this age is final")
    RETRY_AFTER_CAP_SECONDS: float = _number(86400.0, "a longer `Retry-After` is cut to this")

    # -- breaker ------------------------------------------------------------------------------------------
    AUTH_FAILURES_TO_DISABLE: int = _number(
        3, "[refusals](state-machine.md#refused-credentials) in a row that disable an integration"
    )
    BREAKER_FAILURES_TO_OPEN: int = _number(
        5, "temporary failures in a row after which up to five other rows are tried; the lane rests if they fail too"
    )
    BREAKER_PAUSE_SECONDS: float = _number(30.0, "first rest; doubles with every failed probe")
    BREAKER_PAUSE_CAP_SECONDS: float = _number(900.0, "longest rest")

    # -- calls that somebody waits for --------------------------------------------------------------------
    HTTP_MAX_ATTEMPTS: int = _number(
        3, "attempts of a call that somebody waits for, the first included; a delivery sends once and its lane retries"
    )
    HTTP_BASE_SECONDS: float = _number(0.5, "pause before the second attempt of such a call; doubles")
    HTTP_WAIT_CAP_SECONDS: float = _number(
        5.0, "a longer `Retry-After` is not waited for in such a call: the caller gets the error"
    )
    PUSH_WAIT_SECONDS: float = _number(
        30.0, "how long the [push of an order](erp.md) is waited for at most; then a worker continues with it"
    )
    PUSH_WAITING: int = _number(
        4,
        "how many requests of the API may wait for a push in one web process; any further push is recorded, and "
        "answered 202 at once. As many again may wait for a test event or a check, one of each tenant; any further one "
        "is answered 429. Each that waits holds a thread of the process, so keep this below half of them",
    )
    MAX_READ_BYTES: int = _number(8_388_608, "largest answer that is read for its content (queries, pages)")

    # -- transport ----------------------------------------------------------------------------------------
    TIMEOUT_SECONDS: float = _number(
        30.0,
        "total deadline of a request, body included, unless the integration has its own (1 to 60 seconds). If you set "
        "it, it holds for deliveries, pulls and calls of every connector; otherwise a connector may declare another, "
        "and calls have 10 s",
    )
    TEST_TIMEOUT_SECONDS: float = _number(5.0, "the same for a test event, while a person waits")
    CONNECT_TIMEOUT_SECONDS: float = _number(5.0, "for TCP, and again for TLS")
    DNS_TIMEOUT_SECONDS: float = _number(5.0, "for the lookup of a host's addresses")
    MAX_RESPONSE_BYTES: int = _number(65_536, "how much of the answer to a delivery is read, decompressed")
    ALLOW_HTTP: bool = _switch(False, "plain `http://` for everybody; hosts in `ALLOWED_HOSTS` always may")
    ALLOWED_HOSTS: Sequence[str] = _texts("`host:port` that may be private, such as `n8n:5678`")
    ALLOWED_NETWORKS: Sequence[str] = _texts("subnets that may be private, such as `172.18.0.0/16`")
    OWN_HOSTS: Sequence[str] = _texts("your own public names, which are refused as targets. Set it")
    PUBLIC_URL: str = _address(
        "your public address, such as `https://app.example.com`. OAuth providers send people back to an address below "
        "it ([oauth.md](oauth.md)); if it is empty, to the host by which the request reached us, so set it behind a "
        "proxy. Providers call addresses below it too, unless `WEBHOOK_BASE_URL` names another; if both are empty, "
        "these addresses have no host"
    )
    SMTP_EHLO_NAME: str = _matching(
        HOST_NAME,
        "the full host name that we send in EHLO to mail servers; empty: the host of `PUBLIC_URL`, or else our IP "
        "address, which some servers reject",
        "a full host name such as app.example.com",
    )
    CA_BUNDLE: str = _text("", "PEM file of trusted authorities; empty: certifi's")

    # -- connectors ---------------------------------------------------------------------------------------
    HEALTH_CHECK_SECONDS: float = _number(
        900.0,
        "how often each integration is checked (± 20 %), if its connector has a call that changes nothing; 0: never",
        least=0,
    )
    CONFIG_CACHE_SECONDS: float = _number(
        5.0, "a changed system-wide configuration is seen after this long at the latest; 0: read at every call", least=0
    )
    LOGGER_PREFIX: str = _text("integrations", "loggers of connectors are named `<prefix>.<name>`")
    TEMPLATE_DIRS: Sequence[str] = _texts("folders with [connector templates](templates.md) (YAML) beside our own")
    SEVERAL_ACTIVE: Sequence[str] = _texts("families of which a tenant may have several active integrations: `erp`")
    DROPZONE_ROOTS: Sequence[str] = _texts(
        "folders of this machine below which any tenant may have JSON files dropped (`DROPZONE_JSON_V1`)"
    )
    ADAPTER_TIMEOUT_SECONDS: float = _number(
        0.0,
        "seconds for one request of a call or a pull (`get_adapter()`); 0: `TIMEOUT_SECONDS` if that is set, else "
        "what the connector declares, else 10",
        least=0,
    )

    # -- inbound and pull ---------------------------------------------------------------------------------
    CONNECTION_MODEL: str = _text(
        "integrations.TenantIntegration",
        "the model whose webhooks come in; it may be your own: [your-own-models.md](your-own-models.md)",
    )
    WEBHOOK_EVENT_MODEL: str = _text("integrations.WebhookEvent", "the model that stores them")
    WEBHOOK_BASE_URL: str = _address(
        "the address of `webhooks/` as providers reach it, such as `https://app.example.com/webhooks/`; empty: below "
        "`PUBLIC_URL`"
    )
    INBOUND_BY_KEY: bool = _switch(
        True,
        "an inbound address may also name its integration by its integer key, as other guides write addresses. "
        "If off, only by its public id, which is what we show: keys are consecutive, so they tell strangers how many "
        "integrations there are",
    )
    INBOUND_CAUSED_PER_HOUR: int = _number(
        30,
        "events of one object that integrations may cause within an hour by calling back; the next one fails with that "
        "reason, which ends a loop of two integrations that answer each other. Changes by people do not count",
    )
    INBOUND_COPY_SECONDS: float = _number(
        600.0,
        "how long the same body without an id counts as a copy of the first ([inbound.md](inbound.md#what-is-stored))",
    )
    INBOUND_PER_MINUTE: int = _number(
        600,
        "webhooks of one connection that are stored in a minute; more are answered 429. Counted in Django's cache: "
        "with `locmemcache` each process counts for itself",
    )
    INBOUND_REFUSED_PER_MINUTE: int = _number(
        10,
        "calls of one connection in a minute that fail their signature check and are answered 401; more are answered "
        "429. If a stored secret is weak, nothing more is read until the next minute",
    )
    INBOUND_MAX_BYTES: int = _number(
        1_048_576,
        "largest body of a webhook. The proxy before us must allow as much (nginx: `client_max_body_size`). A larger "
        "one is answered 413, and the log says so",
        least=1024,
        most=MOST_INBOUND_BYTES,
    )
    INBOUND_LEASE_SECONDS: float = _number(
        90.0, "how long a worker may work on one stored webhook before another takes it over"
    )
    PULL_SECONDS: float = _number(20.0, "how long a [pull](pull.md) runs before it queues itself again")
    PULL_LEASE_SECONDS: float = _number(
        120.0,
        "how long the pull of a dead worker stays taken; longer if its adapter's timeout is. Processing one page must "
        "take less time",
    )
    PULL_MAX_PAGES: int = _number(
        10_000, "pages of one run; then it fails and the next one continues: against lists that never end"
    )
    PULL_RETRY_CAP_SECONDS: float = _number(
        900.0, "longest pause of a pull after failures, unless the provider asks for more"
    )

    JOBS_PER_TENANT: int = _number(
        50, "[jobs](replay-and-backfill.md) of a tenant that may wait, run or be paused at once; another is refused"
    )

    # -- credentials --------------------------------------------------------------------------------------
    ROTATION_OVERLAP_SECONDS: float = _number(
        86400.0, "how long an old signing secret still signs beside the new one", least=0
    )
    ROTATE_EVERY_DAYS: int = _number(
        90, "age of credentials at which the admin asks people to change them", most=36_500
    )
    SECRETS_DIR: str = _text(
        "",
        "where `file:name` in a secret field is looked up: `<dir>/<tenant's slug>/name`, with a dir such as "
        "`/run/secrets/outbox`; empty: no such references",
    )
    SECRETS_ENV_PREFIX: str = _text(
        "",
        "where `env:NAME` in a secret field is looked up: the variable `<prefix><TENANT_SLUG>_NAME`; empty: no such "
        "references",
    )

    # -- API keys and sign-in -----------------------------------------------------------------------------
    API_KEY_PER_MINUTE: int = _number(
        600,
        "requests of one [API key](api.md#api-keys) in a minute; more are answered 429. Counted in Django's cache: "
        "with `locmemcache` each process counts for itself",
    )
    API_PERSON_PER_MINUTE: int = _number(
        600,
        "requests of one person to the API in a minute, all their sessions together; more are answered 429. Counted as "
        "those of keys are",
    )
    API_KEYS_PER_TENANT: int = _number(50, "API keys that a tenant may have at once, revoked and expired ones apart")
    SIGN_IN_PER_MINUTE: int = _number(
        10,
        "wrong passwords for one name from one address that the console's sign-in takes in a minute; three times as "
        "many from one address, ten times as many for one name. Then it asks people to wait. Counted in Django's cache",
    )

    # -- payload and retention ----------------------------------------------------------------------------
    MAX_BODY_BYTES: int = _number(
        262_144,
        "payloads up to this size are sent whole; of a larger one the longest texts and lists are cut, and "
        '`"truncated": ["workitem.description"]` names them',
    )
    RECORD_SKIPPED: bool = _switch(
        True,
        "record an event also for subscriptions whose condition it does not meet, as *Skipped* with the values that "
        "decided; off: such an event leaves no trace, and no row",
    )
    RETENTION_DAYS: int = _number(
        30, "how long what is settled is kept: [Retention](OPERATIONS.md#retention)", most=36_500
    )
    AUDIT_RETENTION_DAYS: int = _number(400, "how long the [audit trail](audit.md) is kept", most=36_500)
    RETENTION_BATCH: int = _number(1000, "events deleted at once", most=30_000)  # parameters of one statement
    ALERT_AFTER_SECONDS: float = _number(
        300.0, "how long an integration fails before people are [told](alerts.md)", least=0
    )
    BACKLOG_ALERT_SECONDS: float = _number(
        600.0, "how long a due delivery waits, though nothing holds its lane back, before people are told"
    )
    ALERT_MAIL_TO: Sequence[str] = _texts("addresses of the people who run the product: they get every alert by mail")
    ALERT_MAIL_MANAGERS: bool = _switch(
        True, "a tenant's managers (`INTEGRATIONS_PEOPLE`) get by mail what is about its integrations"
    )
    METRICS_TOKEN: str = _text(
        "",
        "who asks `/metrics` with `Authorization: Bearer <this>` gets them ([observability.md](observability.md)); "
        "empty and no `METRICS_NETWORKS`: nobody does",
    )
    METRICS_NETWORKS: Sequence[str] = _texts("subnets that `/metrics` answers without a token, such as `10.0.0.0/8`")
    METRICS_PORT: int = _number(
        0,
        "port of the metrics of a worker's machine, on METRICS_HOST; 0: none. The second worker on a machine says "
        "that the port is taken, and goes on",
        least=0,
        most=65_535,
    )
    METRICS_HOST: str = _text("127.0.0.1", "address on which a worker answers for its metrics; it asks for no token")
    SEND_TRACEPARENT: bool = _switch(
        True,
        "where spans are collected ([observability.md](observability.md#traces)), requests to destinations carry the "
        "header `traceparent`",
    )
    PROXIES: int = _number(
        0,
        "proxies in front of the web process that each add to `X-Forwarded-For`: the audit trail names the address "
        "that the outermost of them saw; 0: the address of the connection itself",
        least=0,
        most=10,
    )
    FIGURES_MINUTE_DAYS: int = _number(
        2, "how many days the console's figures are kept by the minute", least=2, most=366
    )
    FIGURES_HOUR_DAYS: int = _number(35, "how many days they are kept by the hour", least=31, most=3660)
    FIGURES_DAY_DAYS: int = _number(400, "how many days they are kept by the day", most=36_500)
    HEARTBEAT_STALE_SECONDS: float = _number(120.0, "silence after which a worker or beat counts as down")


DEFAULTS: dict[str, Any] = Settings().model_dump()

# Names from other guides, ours, and the factor between them.
ALIASES: dict[str, tuple[str, float]] = {
    "CONNECTOR_RETRY_MAX_ATTEMPTS": ("HTTP_MAX_ATTEMPTS", 1),
    "CONNECTOR_RETRY_BASE_DELAY_MS": ("HTTP_BASE_SECONDS", 0.001),
    "CONNECTOR_TIMEOUT_MS": ("TIMEOUT_SECONDS", 0.001),
    "CONNECTOR_CIRCUIT_BREAKER_THRESHOLD": ("BREAKER_FAILURES_TO_OPEN", 1),
}

# django-bapp-connectors keeps its settings in a dict BAPP_CONNECTORS; ours win. (Its key: credentials/key_ring.py.)
BAPP_NAMES: dict[str, str] = {
    "CONNECTION_MODEL": "CONNECTION_MODEL",
    "WEBHOOK_EVENT_MODEL": "WEBHOOK_EVENT_MODEL",
    "WEBHOOK_BASE_URL": "WEBHOOK_BASE_URL",
    "ADAPTER_TIMEOUT_SECONDS": "DEFAULT_TIMEOUT",
}


def __getattr__(name: str) -> Any:
    if name not in DEFAULTS:
        raise AttributeError(f"no such integration setting: {name}")
    own = _own()
    from_bapp = name not in own and name in BAPP_NAMES
    value = _bapp().get(BAPP_NAMES[name], DEFAULTS[name]) if from_bapp else own.get(name, DEFAULTS[name])
    globals()[name] = value  # Python asks here only for what the module does not have yet
    return value


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("INTEGRATIONS", "BAPP_CONNECTORS"):
        for name in DEFAULTS.keys() & globals().keys():
            del globals()[name]


setting_changed.connect(_forget, dispatch_uid="integrations.conf")


def _own() -> Mapping[str, Any]:
    return getattr(settings, "INTEGRATIONS", {})


def _bapp() -> Mapping[str, Any]:
    return getattr(settings, "BAPP_CONNECTORS", None) or {}


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
    """Tell whether `INTEGRATIONS` sets `name`: a default of ours yields to what a connector declares."""
    return name in _own()


def is_named(name: str) -> bool:
    """Tell whether `INTEGRATIONS` or `BAPP_CONNECTORS` sets `name`."""
    return name in _own() or BAPP_NAMES.get(name, "") in _bapp()


class _Given(NamedTuple):
    """A value that somebody set.

    Attributes:
        place: what a person must change: a variable's name, or a key of a dict.
        written: the value as it stands there.
        value: the same in our unit.
    """

    place: str
    written: Any
    value: Any


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the ``INTEGRATIONS`` dict that the variables ``INTEGRATIONS_*`` of `environ` describe.

    The names of `ALIASES` are understood too; ours win.

    Raises:
        ImproperlyConfigured: an unknown name (a typo would otherwise be silent) or a value that is not allowed.
    """
    given: dict[Any, _Given] = {}
    for alias, (name, factor) in ALIASES.items():
        if raw := environ.get(alias, "").strip():
            scale = "" if factor == 1 else f" × {factor}"
            given[name] = _Given(f"{alias}{scale} ({PREFIX}{name})", raw, _scaled(raw, factor))
    for key, raw in environ.items():
        if key.startswith(PREFIX):
            name = key.removeprefix(PREFIX)
            is_list = isinstance(DEFAULTS.get(name), list)
            given[name] = _Given(key, raw, _split(raw) if is_list else raw.strip())
    values, problems = _validated(given, strict=False)
    if problems:
        raise ImproperlyConfigured("\n".join(problems))
    return values


def problems() -> list[str]:
    """Return what is wrong with the settings, one sentence each."""
    for setting, dicts in (("INTEGRATIONS", _own()), ("BAPP_CONNECTORS", _bapp())):
        if not isinstance(dicts, Mapping):
            return [f"{setting} must be a dict of settings, not a {type(dicts).__name__}."]
    given: dict[Any, _Given] = {
        name: _Given(f'BAPP_CONNECTORS["{theirs}"]', _bapp()[theirs], _bapp()[theirs])
        for name, theirs in BAPP_NAMES.items()
        if theirs in _bapp()
    }
    given |= {name: _Given(f"{PREFIX}{name}", value, value) for name, value in _own().items()}
    found = _validated(given, strict=True)[1]
    for key in dir(settings):
        name = key.removeprefix(PREFIX)
        if key.startswith(PREFIX) and name in DEFAULTS:
            found.append(f'{key} of the settings module is not read; write INTEGRATIONS = {{"{name}": …}}.')
        elif key.startswith(PREFIX) and name not in BY_THEMSELVES:
            found.append(_unknown(key, name))
    return found


def refuse_problems() -> None:
    """Raise ImproperlyConfigured if something is wrong with the settings; call it once, when Django starts.

    Web servers run no checks: without this they would start, and fail at the first delivery or page.
    """
    if found := problems():
        raise ImproperlyConfigured("\n".join(found))


def _scaled(raw: str, factor: float) -> str | float:
    try:
        return raw if factor == 1 else float(raw) * factor
    except ValueError:
        return raw


def _split(raw: str) -> Any:
    """Return a list that is written with commas or in JSON."""
    if not raw.strip().startswith("["):
        return [part.strip() for part in raw.split(",") if part.strip()]
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw


def _validated(given: Mapping[Any, _Given], *, strict: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the values that are `given`, and a sentence for each that is not allowed."""
    try:
        model = Settings.model_validate({name: each.value for name, each in given.items()}, strict=strict)
    except ValidationError as error:
        wrong = dict.fromkeys(each["loc"][0] for each in error.errors(include_input=False))
        return {}, [_problem(name, given[name]) for name in wrong]
    return model.model_dump(include=model.model_fields_set), []


def _problem(name: Any, given: _Given) -> str:
    if name in DEFAULTS:
        return f"{given.place} must be {allowed(name)}, not {_shown(given.written)}."
    return _unknown(given.place, str(name))


def _shown(written: Any) -> str:
    """Return `written` for an error: an address may hold a password, which ends before the last @."""
    if isinstance(written, list | tuple | set):
        return f"[{', '.join(map(_shown, written))}]"[:200]
    if isinstance(written, str):
        written = re.sub(r"^(\w+://)?.*@", r"\1***@", written, flags=re.DOTALL)
    return repr(written)[:200]


def _unknown(place: str, name: str) -> str:
    if name in BY_THEMSELVES:
        return f"{place} belongs in the settings module: {PREFIX}{name} = …"
    similar = difflib.get_close_matches(name, (*DEFAULTS, *BY_THEMSELVES), n=1, cutoff=0.5)
    hint = f" Did you mean {PREFIX}{similar[0]}?" if similar else ""
    return f"{place}: there is no such setting.{hint}"


def allowed(name: str) -> str:
    """Return in words what the setting `name` may be."""
    extra: Any = Settings.model_fields[name].json_schema_extra
    return str(extra["allowed"])
