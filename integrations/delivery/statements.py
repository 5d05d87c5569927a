"""The hot SQL, all of it: what is asked for every lane, slice and sweep.

Constants are written out. As a bound parameter ``status`` could not use the partial indexes once PostgreSQL has chosen
a generic plan (after a few executions of a prepared statement), and a lane would slow down fifteenfold. For the same
reason the question "is there an earlier row?" is a scalar subquery: it cannot become a join that reads all that waits.
tests/integration/test_statements.py asks EXPLAIN about each.

Every comparison of times is the database's. PostgreSQL and SQLite differ in what database/sql.py says, and in how they
bound a lateral read; nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import NamedTuple, ParamSpec

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.database.sql import epoch, greatest, listed, looked_up, now, quoted, seconds_until, shifted
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.statistics import writing
from integrations.tenancy.tenant import tenant_field, tenant_model

from .choice import FRESH, RETRY, SUSPECT
from .models import Lane

SYNC, EVENT = IntegrationSync._meta.db_table, IntegrationEvent._meta.db_table
LANE, INTEGRATION = Lane._meta.db_table, TenantIntegration._meta.db_table

P = ParamSpec("P")


def _kept(build: Callable[P, str]) -> Callable[P, str]:
    """Keep the statements that `build` has made, as long as the settings that are written out in them stay the same."""

    @lru_cache(maxsize=64)
    def built(settings: tuple[float, ...], *args: P.args, **kwargs: P.kwargs) -> str:
        return build(*args, **kwargs)

    @wraps(build)
    def statement(*args: P.args, **kwargs: P.kwargs) -> str:
        settings = (conf.HOLD_SECONDS, conf.LEASE_SECONDS, conf.HINT_SECONDS, conf.SLICE_ROWS)
        return built(settings, *args, **kwargs)  # type: ignore[arg-type]  # all of them can be hashed

    return statement


# -- which rows may be sent --------------------------------------------------------------------------------


def _is_head(vendor: str, row: str = "s") -> str:
    """No earlier row of its object is pending, or none whose hold still lasts.

    - Not `IS NULL` at the end: of that PostgreSQL believes that it holds for one row in 200, so that a slice of a long
      backlog looks expensive enough to be compiled (JIT), which takes many times as long as reading it.
    - No `OR` of the two kinds of rows: with old statistics PostgreSQL would look in their two indexes for every earlier
      row of the lane, instead of in the one of objects.
    """
    never = "'infinity'" if vendor == "postgresql" else "'9999'"
    return (
        f"(SELECT true FROM {SYNC} b WHERE b.integration_id = {row}.integration_id AND b.status = 'pending' "
        f"AND b.object_key = {row}.object_key AND b.id < {row}.id "
        f"AND COALESCE(b.first_failed_at, {never}) > {shifted(vendor, str(-float(conf.HOLD_SECONDS)))} LIMIT 1) "
        "IS NOT TRUE"
    )


_CLASSES = {
    FRESH: "s.first_failed_at IS NULL",
    RETRY: "s.first_failed_at IS NOT NULL AND s.deaths = 0",
    SUSPECT: "s.first_failed_at IS NOT NULL AND s.deaths > 0",
}
# Rows of one lane are asked for as a range, and in the order of the lane's own index. With an equality the primary key
# gives that order too, and PostgreSQL, which believes that what waits lies evenly among what is settled, may read a
# million settled rows to find the first hundred.
OLDEST, SOONEST = "s.integration_id, s.id", "s.integration_id, s.next_attempt_at, s.id"
_ORDER = {FRESH: OLDEST, RETRY: SOONEST, SUSPECT: SOONEST}


def due(vendor: str, kind: str, *, lane: str = "%s", in_order: bool | None = True) -> str:
    """Return the condition of rows `s` of a lane that may begin a chain now; `lane` is in it twice.

    Args:
        kind: what tells fresh rows from those that failed.
        in_order: None: as the integration `i` of an outer query has it.
    """
    condition = (
        f"s.integration_id BETWEEN {lane} AND {lane} AND s.status = 'pending' AND {kind} "
        f"AND s.next_attempt_at <= {now(vendor)}"
    )
    if in_order is None:
        return f"{condition} AND (i.ordering = 'none' OR {_is_head(vendor)})"
    return f"{condition} AND {_is_head(vendor)}" if in_order else condition


def something_is_due(vendor: str, *, lane: str, in_order: bool | None = None) -> str:
    """Return the condition of a lane that has a row to send: the same rows as `rows` finds."""
    kinds = {"s.first_failed_at IS NULL": OLDEST, "s.first_failed_at IS NOT NULL": SOONEST}
    found = (
        f"(SELECT 1 FROM {SYNC} s WHERE {due(vendor, kind, lane=lane, in_order=in_order)} ORDER BY {order} LIMIT 1) "
        "IS NOT NULL"
        for kind, order in kinds.items()
    )
    return f"({' OR '.join(found)})"


# What a row is read with; choice.DueRow has the same fields in the same order.
def _row_columns(vendor: str) -> str:
    return ", ".join(
        (
            "r.id",
            "r.object_key",
            "r.attempts",
            "r.generation",
            "r.deaths",
            f"-{seconds_until(vendor, 'COALESCE(r.retried_at, r.not_before, r.created_at)')}",
            f"{seconds_until(vendor, 'r.first_failed_at')} + {float(conf.HOLD_SECONDS)}",
            f"CASE WHEN r.next_attempt_at <= {now(vendor)} THEN 1 ELSE 0 END",
            f"-{seconds_until(vendor, 'r.next_attempt_at')}",
            "CASE WHEN r.last_failed_at IS NOT NULL AND EXISTS (SELECT 1 FROM "
            f"{LANE} l WHERE l.integration_id = r.integration_id AND l.last_success_at > r.last_failed_at) "
            "THEN 1 ELSE 0 END",
            "r.first_failed_at IS NOT NULL",
            "e.id",
            "e.event_type",
            "e.content_type_id",
            "e.object_id",
            "e.idempotency_key",
            "e.body",
            "e.tenant_id",
            "r.progress",
            "r.payload",
            "r.older_body",
            "COALESCE(r.payload_version, e.payload_version)",
            "e.traceparent",
        )
    )


def _rows_of_heads(vendor: str, heads: str, followers: str) -> str:
    """Return the rows of the chains that `heads` (id, object_key, class) begin, with their events."""
    columns = _row_columns(vendor)
    chain = (
        f"SELECT f.{{what}} FROM {SYNC} f WHERE f.integration_id = h.integration_id AND f.status = 'pending' "
        f"AND f.object_key = h.object_key AND f.id >= h.id ORDER BY f.id LIMIT {followers}"
    )
    if vendor == "postgresql":
        source = f"heads h CROSS JOIN LATERAL ({chain.format(what='*')}) r"
    else:
        source = f"heads h JOIN {SYNC} r ON r.id IN ({chain.format(what='id')})"
    event = looked_up(vendor, EVENT, "e", "e.id = r.event_id")
    return f"WITH {heads} SELECT h.class, h.id, {columns} FROM {source} {event}"


def _head(vendor: str, kind: int, limit: str, in_order: bool) -> str:
    return (
        f"SELECT s.id, s.object_key, s.integration_id, {kind} AS class FROM {SYNC} s "
        f"WHERE {due(vendor, _CLASSES[kind], in_order=in_order)} ORDER BY {_ORDER[kind]} LIMIT {limit}"
    )


@_kept
def rows(vendor: str, limit: int, in_order: bool) -> str:
    """Return the due rows of a lane, `limit` heads and what rides behind them. Parameters: the lane, six times."""
    share = max(1, limit // 4)  # retries that are read beside a full slice of fresh rows: every fifth start
    rest = f"(SELECT CASE WHEN count(*) > {limit - share} THEN {share} ELSE {limit} - count(*) END FROM fresh)"
    heads = (
        f"fresh AS ({_head(vendor, FRESH, str(limit), in_order)}), "
        f"retries AS ({_head(vendor, RETRY, rest, in_order)}), "
        f"suspects AS ({_head(vendor, SUSPECT, '1', in_order)}), "
        "heads AS (SELECT * FROM fresh UNION ALL SELECT * FROM retries UNION ALL SELECT * FROM suspects)"
    )
    followers = f"(SELECT 1 + {limit} / (count(*) + 1) FROM heads)" if in_order else "1"
    return _rows_of_heads(vendor, heads, followers)


@_kept
def one(vendor: str, in_order: bool) -> str:
    """Return one pending row, due or not, if no earlier one must go first. Parameters: the lane, the row."""
    head = f" AND {_is_head(vendor)}" if in_order else ""
    return _rows_of_heads(
        vendor,
        f"heads AS (SELECT s.id, s.object_key, s.integration_id, {FRESH} AS class FROM {SYNC} s "
        f"WHERE s.integration_id = %s AND s.id = %s AND s.status = 'pending'{head})",
        "1",
    )


@_kept
def fresh_from(vendor: str, in_order: bool) -> str:
    """Return (id, object) of due rows that never failed, from an id on. Parameters: the lane twice, id, count."""
    where = due(vendor, _CLASSES[FRESH], in_order=in_order)
    return f"SELECT s.id, s.object_key FROM {SYNC} s WHERE {where} AND s.id >= %s ORDER BY {OLDEST} LIMIT %s"


@_kept
def first_retries(vendor: str, limit: int, in_order: bool) -> str:
    """Return (id, object) of the rows whose retry is due, longest due first. Parameter: the lane, twice."""
    where = due(vendor, _CLASSES[RETRY], in_order=in_order)
    return f"SELECT s.id, s.object_key FROM {SYNC} s WHERE {where} ORDER BY {SOONEST} LIMIT {limit}"


_FRESH_ID = (
    f"SELECT id FROM {SYNC} WHERE integration_id BETWEEN %s AND %s AND status = 'pending' AND first_failed_at IS NULL "
    "ORDER BY integration_id {0}, id {0} LIMIT 1"
)
# The first and the last row that never failed. Parameter: the lane, four times.
FRESH_RANGE = f"SELECT ({_FRESH_ID.format('ASC')}), ({_FRESH_ID.format('DESC')})"
FAILING = (  # how many wait for a retry, by the last answer; bounded
    "SELECT response_status, count(*) FROM (SELECT response_status FROM "
    f"{SYNC} WHERE integration_id = %s AND status = 'pending' AND first_failed_at IS NOT NULL "
    # In the order of the index of retries: while the tables are empty all indexes cost the same, and without an order
    # the one that was made first would be chosen, and kept.
    "ORDER BY next_attempt_at, id LIMIT 1000) waiting GROUP BY response_status ORDER BY count(*) DESC"
)


# -- the lane ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def is_free(vendor: str, lane: str) -> str:
    """Return the condition of a lane that nobody holds."""
    return f"({lane}.lease_expires_at IS NULL OR {lane}.lease_expires_at <= {now(vendor)})"


@lru_cache(maxsize=16)
def is_rested(vendor: str, lane: str) -> str:
    """Return the condition of a lane that is not paused."""
    return f"({lane}.paused_until IS NULL OR {lane}.paused_until <= {now(vendor)})"


def is_not_stopped(lane: str) -> str:
    """Return the condition of a lane that no person has paused, or whose rows an inactive integration `i` cancels."""
    return f"({lane}.paused_since IS NULL OR NOT i.is_active)"


def hint_seconds() -> float:
    """Return how long a hint counts as under way: a lost one costs no more than a dead worker's lease."""
    return float(min(conf.HINT_SECONDS, conf.LEASE_SECONDS))


def is_unasked(vendor: str, lane: str) -> str:
    """Return the condition of a lane for which no hint is under way, as far as marks tell."""
    old = shifted(vendor, str(-hint_seconds()))
    return f"({lane}.hinted_at IS NULL OR {lane}.hinted_at <= {old})"


def next_send(vendor: str) -> str:
    """Return when the next request may begin after a slice. Parameters: seconds from now, `State.booked_until`.

    What calls have booked since the slice began is added: their requests were none of the slice's.
    """
    booked = greatest(vendor, f"{epoch(vendor, 'next_send_at')} - %s", "0.0")
    return shifted(vendor, f"round(CAST(%s + {booked} AS numeric), 3)")


class State(NamedTuple):
    """The run-time state of a lane that somebody holds; times are seconds from now, by the database's clock."""

    turn: int
    epoch: int
    careful_left: int
    consecutive_failures: int
    times_opened: int
    mean_seconds: float | None
    is_slow: bool
    refused_object: str
    rejections: int
    rejected_as: str
    rejected_object: str
    attention: str
    trouble: str
    paused_by: str
    failing_ago: float | None
    failing_rows: int
    failing_attempts: int
    next_send_in: float | None
    booked_until: float  # seconds since the epoch: when the next request might have begun, as the lane had it
    last_success_ago: float | None
    taken_with: str
    delivered_count: int
    rests: float | None  # a call has let the lane rest while we held it


_INTEGRATION_COLUMNS = [field.column for field in TenantIntegration._meta.concrete_fields]


@lru_cache(maxsize=2)
def _both(vendor: str) -> str:
    """Return the columns of `State` and of the integration."""
    state = {
        "next_send_in": seconds_until(vendor, "l.next_send_at"),
        "booked_until": greatest(vendor, epoch(vendor, "l.next_send_at"), epoch(vendor, now(vendor))),
        "rests": seconds_until(vendor, "l.paused_until"),
        "last_success_ago": f"-{seconds_until(vendor, 'l.last_success_at')}",
        "failing_ago": f"-{seconds_until(vendor, 'l.failing_since')}",
    }
    columns = [state.get(name, f"l.{name}") for name in State._fields]
    return ", ".join([*columns, *(f"i.{name}" for name in _INTEGRATION_COLUMNS)])


def _update(vendor: str, assignments: str, condition: str, also: str = "") -> str:
    """Return an UPDATE of lane `l` that returns what it and its integration are then.

    SQLite returns only what it updates; there, `read_both` comes after it.
    """
    if vendor != "postgresql":
        return f"UPDATE {LANE} AS l SET {assignments} WHERE {condition} RETURNING 1"
    return (
        f"UPDATE {LANE} AS l SET {assignments} FROM {INTEGRATION} i WHERE {condition} AND i.id = l.integration_id "
        f"RETURNING {_both(vendor)}{also}"
    )


@_kept
def take(vendor: str, *, only_turn: bool) -> str:
    """Take a lane that is free and rested. Parameters: the token, the lane, with `only_turn` the turn."""
    died = f"l.lease_token <> '' AND l.lease_expires_at <= {now(vendor)}"
    return _update(
        vendor,
        f"lease_token = %s, lease_expires_at = {shifted(vendor, str(float(conf.LEASE_SECONDS)))}, turn = turn + 1, "
        f"hinted_at = NULL, careful_left = CASE WHEN {died} THEN {2 * conf.SLICE_ROWS} ELSE careful_left END",
        f"l.integration_id = %s AND l.deleting_since IS NULL AND {is_free(vendor, 'l')} AND {is_rested(vendor, 'l')}"
        f"{' AND l.turn = %s' if only_turn else ''}",
    )


KEYED = "set_config('enable_seqscan', 'off', true)"


@lru_cache(maxsize=128)  # of the columns that slices change together, few combinations occur
def renew(vendor: str, assignments: str) -> str:
    """Write a held lane and return what it is then. Parameters: those of `assignments`, the lane, the token.

    For the rest of the transaction PostgreSQL is told to look rows up by key: a plan made while the tables were young,
    and kept, would read all of them for every slice that is settled (`KEYED`).
    """
    return _update(vendor, assignments, "l.integration_id = %s AND l.lease_token = %s", also=f", {KEYED}")


@lru_cache(maxsize=2)
def read_both(vendor: str) -> str:
    """Return lane and integration. Parameters: the lane, the token."""
    return (
        f"SELECT {_both(vendor)} FROM {LANE} l JOIN {INTEGRATION} i ON i.id = l.integration_id "
        "WHERE l.integration_id = %s AND l.lease_token = %s"
    )


@_kept
def look(vendor: str) -> str:
    """Mark a lane as asked for if it has something to send and nobody is asked yet. Parameter: the lane."""
    # Written as a subquery because SQLite's UPDATE does not join; the lane's own row is locked by the UPDATE.
    found = (
        f"SELECT i.id FROM {INTEGRATION} i WHERE i.id = l.integration_id AND (i.is_enabled OR NOT i.is_active) "
        f"AND {is_not_stopped('l')} AND {something_is_due(vendor, lane='i.id')}"
    )
    return (
        f"UPDATE {LANE} AS l SET hinted_at = {now(vendor)} WHERE l.integration_id = %s "
        f"AND l.deleting_since IS NULL AND {is_free(vendor, 'l')} AND {is_rested(vendor, 'l')} "
        f"AND {is_unasked(vendor, 'l')} AND EXISTS ({found}) RETURNING turn, is_slow"
    )


@_kept
def sweep(vendor: str, limit: int) -> str:
    """Mark every free, rested lane that has something to send and nobody is asked about; return (lane, turn, slow)."""
    locking = " FOR UPDATE OF l SKIP LOCKED" if vendor == "postgresql" else ""
    found = (
        f"SELECT l.integration_id FROM {LANE} l JOIN {INTEGRATION} i ON i.id = l.integration_id "
        # An inactive integration's rows are due too: its lane cancels them, with a reason.
        f"WHERE l.deleting_since IS NULL AND (i.is_enabled OR NOT i.is_active) AND {is_free(vendor, 'l')} "
        f"AND {is_rested(vendor, 'l')} AND {is_not_stopped('l')} AND {is_unasked(vendor, 'l')} "
        f"AND {something_is_due(vendor, lane='l.integration_id')} "
        f"ORDER BY l.hinted_at NULLS FIRST, l.integration_id LIMIT {limit}{locking}"
    )
    return (
        f"WITH due AS MATERIALIZED ({found}) UPDATE {LANE} SET hinted_at = {now(vendor)} "
        "WHERE integration_id IN (SELECT integration_id FROM due) RETURNING integration_id, turn, is_slow"
    )


@_kept
def idle(vendor: str, count: int) -> str:
    """Return (lane, turn, slow) of those of `count` lanes that a hint would help. Parameters: the lanes."""
    marks = ", ".join(["%s"] * count)
    return (
        f"SELECT l.integration_id, l.turn, l.is_slow FROM {LANE} l JOIN {INTEGRATION} i ON i.id = l.integration_id "
        f"WHERE l.integration_id IN ({marks}) AND i.is_enabled AND l.deleting_since IS NULL "
        f"AND {is_free(vendor, 'l')} AND {is_rested(vendor, 'l')} AND {is_not_stopped('l')} "
        f"AND {is_unasked(vendor, 'l')}"
    )


# -- what became of a slice -----------------------------------------------------------------------------------

SETTLED_COLUMNS = {
    "id": "bigint",
    "generation": "integer",
    "tried": "integer",
    "state": "text",
    "retry_in": "float8",
    "response_status": "integer",
    "error": "text",
    "why": "text",
    "progress": "text",
}
LOG_COLUMNS = {
    "id": "bigint",
    "attempt": "integer",
    "response_status": "integer",
    "answer": "text",
    "duration_ms": "integer",
    "error": "text",
    "exchanges": "jsonb",
}


@lru_cache(maxsize=2)
def settle_rows(vendor: str) -> str:
    """Write the rows of a slice that are still pending; return (id, status).

    A failure is written only over the generation that was read: a person's retry since then stands. Parameter: a JSON
    list of SETTLED_COLUMNS; `tried` is what is added to the attempts.
    """
    t = now(vendor)
    # By primary key, whatever PostgreSQL believes of the table: the index of what is pending, small as it may have been
    # when the plan was made, would be read whole for every slice.
    by_key = f"{SYNC}.id = ANY(ARRAY(SELECT id FROM v)) AND " if vendor == "postgresql" else ""
    return (
        f"WITH v AS MATERIALIZED (SELECT * FROM {listed(vendor, SETTLED_COLUMNS)}) "
        f"UPDATE {SYNC} SET attempts = attempts + v.tried, status = v.state, deaths = 0, "
        "response_status = v.response_status, last_error = v.error, "
        f"synced_at = CASE WHEN v.state = 'synced' THEN {t} ELSE synced_at END, "
        f"settled_at = CASE WHEN v.state = 'pending' THEN NULL ELSE {t} END, "
        "reason = CASE WHEN v.why <> '' THEN v.why ELSE reason END, "
        f"progress = CASE WHEN v.state = 'synced' THEN '' ELSE COALESCE(v.progress, {SYNC}.progress) END, "
        f"first_failed_at = CASE WHEN v.state = 'synced' THEN first_failed_at ELSE COALESCE(first_failed_at, {t}) END, "
        f"last_failed_at = CASE WHEN v.state = 'synced' THEN last_failed_at ELSE {t} END, "
        "next_attempt_at = "
        f"CASE WHEN v.state = 'pending' THEN {shifted(vendor, 'v.retry_in')} ELSE next_attempt_at END "
        f"FROM v WHERE {by_key}{SYNC}.id = v.id AND {SYNC}.status || '' = 'pending' "
        f"AND (v.state = 'synced' OR {SYNC}.generation = v.generation) RETURNING {SYNC}.id, {SYNC}.status"
    )


# Parameters: what attempts have done already, the row.
KEEP_PROGRESS = f"UPDATE {SYNC} SET progress = %s WHERE id = %s AND status <> 'synced'"


@lru_cache(maxsize=2)
def log_attempts(vendor: str, table: str) -> str:
    """Add one line per attempt, with the names that outlive what it tells about.

    PostgreSQL adds to the figures of the minute in the same round trip; elsewhere `statistics.writing.add` does.

    Parameters: the tenant's name, if its model has no such column; integration, on PostgreSQL `writing.packed` figures;
    action, method, url, actor, a JSON list of LOG_COLUMNS.
    """
    answer = "v.answer::jsonb" if vendor == "postgresql" else "v.answer"
    kind = "::varchar" if vendor == "postgresql" else ""
    tenant, named = tenant_model()._meta, tenant_field("name")
    assert tenant.pk is not None  # noqa: S101 - every model has one
    name = f't."{named.column}"' if named is not None else "%s"
    named_as = f"COALESCE(substr(CAST({name} AS text), 1, 200), '') AS tenant_name"
    counted = f", counted AS ({writing.adding('w')}) " if vendor == "postgresql" else " "
    return (
        f"WITH w AS (SELECT i.id, i.name, i.tenant_id, {named_as} FROM {INTEGRATION} i "
        f'LEFT JOIN {quoted(tenant.db_table)} t ON t."{tenant.pk.column}" = i.tenant_id WHERE i.id = %s){counted}'
        f"INSERT INTO {table} (integration_id, integration_name, tenant_id, tenant_name, sync_id, action, method, url, "
        "actor, attempt, response_status, response_payload, duration_ms, error, exchanges, created_at) "
        f"SELECT w.id, w.name, w.tenant_id, w.tenant_name, v.id, %s{kind}, %s{kind}, %s{kind}, %s{kind}, v.attempt, "
        f"v.response_status, {answer}, v.duration_ms, v.error, v.exchanges, {now(vendor)} "
        f"FROM w, {listed(vendor, LOG_COLUMNS)}"
    )


@lru_cache(maxsize=2)
def mark_attempt(vendor: str) -> str:
    """Count an attempt before it begins, where a worker died. Parameters: the row, its generation."""
    return (
        f"UPDATE {SYNC} SET attempts = attempts + 1, deaths = deaths + 1, next_attempt_at = {now(vendor)}, "
        f"first_failed_at = COALESCE(first_failed_at, {now(vendor)}) "
        "WHERE id = %s AND status = 'pending' AND generation = %s RETURNING deaths"
    )


def put_off(vendor: str) -> str:
    """Let a pending row wait, unless a person has retried it. Parameters: seconds, the row, its generation."""
    return (
        f"UPDATE {SYNC} SET next_attempt_at = {shifted(vendor, '%s')} "
        "WHERE id = %s AND status = 'pending' AND generation = %s"
    )
