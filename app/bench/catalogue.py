"""Every scenario of the benchmark, with its subjects, sizes and targets. Data only; the measuring is in scenarios/."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

SCALES = ("quick", "full")


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity: a column of the table."""

    key: str
    label: str
    digits: int = 1


@dataclass(frozen=True, slots=True)
class Subject:
    """Who does the work: a row of the table, and one process for each run.

    Attributes:
        run: ``module:function`` below app/bench; None: another subject's process measures it in turn with its own.
        project: whose Django settings and database it needs, "ours" or "peers".
        less: what it does not do of what ours does.
        settings: added to those of the scenario.
    """

    key: str
    label: str
    run: str | None
    project: str = "ours"
    less: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    needs_postgres: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach: the median of one metric, or its ratio to another, compared with a bound."""

    label: str
    of: tuple[str, str]  # subject, metric
    bound: float
    is_at_most: bool
    over: tuple[str, str] | None = None
    minus: tuple[str, str] | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question, asked of several subjects in one run.

    Attributes:
        ratio: the metric that ratios are taken of; compared with subject `base`.
        better: whether more or less of it is better.
        chart: the metrics that are drawn.
        quick, full: settings for each scale; quick None: only at full scale.
        rounds: how often each subject runs at full scale, in turn with the others.
    """

    key: str
    title: str
    question: str
    subjects: tuple[Subject, ...]
    metrics: tuple[Metric, ...]
    ratio: str
    base: str
    better: Literal["more", "less"]
    chart: tuple[str, ...]
    unit: str
    full: dict[str, Any]
    quick: dict[str, Any] | None = None
    rounds: int = 3
    quick_rounds: int = 1
    targets: tuple[Target, ...] = ()
    needs_postgres: bool = False

    def settings(self, scale: str) -> dict[str, Any] | None:
        """Return the settings of `scale`; None: not measured at that scale."""
        return self.quick if scale == "quick" else self.full

    def rounds_at(self, scale: str) -> int:
        return self.quick_rounds if scale == "quick" else self.rounds


# -- who does the work ------------------------------------------------------------------------------------

DRAIN = "app.bench.scenarios.drain"
LATENCY = "app.bench.scenarios.latency"
SAVING = "app.bench.scenarios.saving"
NEIGHBOURS = "app.bench.scenarios.neighbours"
GROWTH = "app.bench.scenarios.growth"
UPKEEP = "app.bench.scenarios.upkeep"

OURS = Subject("ours", "this project", f"{DRAIN}:ours")
URLLIB3 = Subject(
    "bare-urllib3", "bare loop, urllib3", f"{DRAIN}:bare", settings={"client": "urllib3"},
    less="a limit: no lease, order, retry, guard, note or second worker",
)  # fmt: skip
PYCURL = Subject(
    "bare-pycurl", "bare loop, pycurl", f"{DRAIN}:bare", settings={"client": "pycurl"},
    less="a limit: no lease, order, retry, guard, note or second worker",
)  # fmt: skip
WEBHOOK = Subject(
    "django-webhook", "django-webhook, stock", f"{DRAIN}:peer", "peers", settings={"peer": "webhook"},
    less="no outbox (a lost message is a lost event), no order, no breaker, no guard; one event row",
)  # fmt: skip
TUNED = Subject(
    "django-webhook-tuned", "django-webhook, connections kept", f"{DRAIN}:peer", "peers",
    settings={"peer": "webhook", "env": {"BENCH_TUNED": "1"}},
    less="as stock; HTTP and database connections are kept between tasks",
)  # fmt: skip
OUTBOUND = Subject(
    "django-outbound-webhooks", "django-outbound-webhooks", f"{DRAIN}:peer", "peers",
    settings={"peer": "outbound", "most_rows": 1_000},
    less="does the same work but for order per object, breaker, pacing and notes; retries inside its lease",
    needs_postgres=True,  # its relay refuses to run on SQLite
)  # fmt: skip
PLAIN = Subject(
    "one-task-each", "one task for each delivery", f"{DRAIN}:peer", "peers",
    settings={"peer": "plain", "env": {"BENCH_TUNED": "1"}},
    less="no outbox, no row, no log, no note, no order, no guard: a task that calls requests.post",
)  # fmt: skip

RATE = Metric("rate", "deliveries / s", 0)
WORKER = Metric("worker_ms", "worker CPU, ms each", 3)
DATABASE = Metric("database_ms", "database CPU, ms each", 3)
PERCENTILES = (Metric("p50", "p50 ms"), Metric("p95", "p95 ms"), Metric("p99", "p99 ms"), Metric("max", "max ms"))


def _drain(lanes: int, processes: int, subjects: tuple[Subject, ...], quick: bool) -> Scenario:
    full = {"rows": 10_000, "peer_rows": 3_000, "lanes": lanes, "processes": processes}
    targets = [Target("at least half of the bare pycurl loop", ("ours", "rate"), 0.5, False, ("bare-pycurl", "rate"))]
    if any(subject.key == TUNED.key for subject in subjects):
        targets.append(Target("14 × django-webhook, tuned", ("ours", "rate"), 14, False, (TUNED.key, "rate")))
    if lanes == 1:
        targets += [
            Target("CPU of the worker for each delivery", ("ours", "worker_ms"), 0.18, True, unit="ms"),
            Target("CPU of the database for each delivery", ("ours", "database_ms"), 0.05, True, unit="ms"),
        ]
    words = f"{lanes} lane{'s' if lanes > 1 else ''}, {processes} process{'es' if processes > 1 else ''}"
    return Scenario(
        key=f"drain-{lanes}",
        title=f"Drain: {words}",
        question="Rows that are due are signed, sent, settled, logged and noted: how many in a second?",
        subjects=subjects,
        metrics=(RATE, WORKER, DATABASE),
        ratio="rate",
        base="ours",
        better="more",
        chart=("rate",),
        unit="deliveries / s",
        full=full,
        quick={**full, "rows": 1_500, "peer_rows": 100} if quick else None,
        targets=tuple(targets),
    )


def _latency(rate: int, quick: bool) -> Scenario:
    full = {"rate": rate, "seconds": 30, "processes": 4}
    subjects = [
        replace(subject, run=f"{LATENCY}:ours" if subject is OURS else f"{LATENCY}:peer")
        for subject in ((OURS, TUNED) if quick else (OURS, TUNED, OUTBOUND, PLAIN))
    ]
    targets = (
        Target("p50 at most 0.7 × django-webhook's", ("ours", "p50"), 0.7, True, (TUNED.key, "p50")),
        Target("p99 at most 1.5 × our own p50", ("ours", "p99"), 1.5, True, ("ours", "p50")),
    )
    return Scenario(
        key=f"latency-{rate}",
        title=f"Latency: {rate} saves a second",
        question="From the commit of a save to its arrival at the receiver.",
        subjects=tuple(subjects),
        metrics=(*PERCENTILES, Metric("save_p50", "save p50 ms", 2), WORKER),
        ratio="p50",
        base="ours",
        better="less",
        chart=("p50", "p95", "p99"),
        unit="ms",
        full=full,
        quick={**full, "seconds": 4} if quick else None,
        targets=targets if rate == 20 else (),
    )


SAVERS = (
    Subject("plain", "a model that nobody captures", f"{SAVING}:saves"),
    Subject("nobody", "captured, nobody subscribed", None),
    Subject("one", "one subscriber", None),
    Subject("five", "five subscribers", None),
)


def _save(key: str, title: str, full: dict[str, Any], quick: bool, targets: tuple[Target, ...]) -> Scenario:
    kinds = [("create", "create"), ("update", "update"), ("status", "status change")]
    modes = [("auto", "autocommit"), ("atomic", "in atomic()")]
    metrics = [Metric(f"{k}_{m}", f"{kind}, {mode}, ms", 2) for k, kind in kinds for m, mode in modes]
    metrics += [Metric(f"{k}_auto_statements", f"{kind}, statements", 0) for k, kind in kinds]
    if "network_ms" in full:
        metrics.append(Metric("round_trip", "round trip measured, ms", 2))
    return Scenario(
        key=key,
        title=title,
        question="What a user's save costs; hints go out behind it. Medians; BEGIN and COMMIT are no statements.",
        subjects=SAVERS,
        metrics=tuple(metrics),
        ratio="create_auto",
        base="plain",
        better="less",
        chart=("create_auto", "update_auto", "status_auto"),
        unit="ms",
        full=full,
        quick={**full, "repeats": 12} if quick else None,
        targets=targets,
        needs_postgres="network_ms" in full,
    )


SAVE_TARGETS = tuple(
    target
    for name, times, statements in (("nobody", 1.15, 2), ("one", 2.5, 5), ("five", 3.0, 5))
    for target in (
        Target(f"create, {name}", (name, "create_auto"), times, True, ("plain", "create_auto")),
        Target(f"create, {name}: statements", (name, "create_auto_statements"), statements, True),
        Target(f"status change, {name}: statements", (name, "status_auto_statements"), statements, True),
    )
)
NETWORK_TARGETS = tuple(
    Target(f"{kind}, {name}: above plain", (name, f"{kind}_auto"), 4, True, minus=("plain", f"{kind}_auto"), unit="ms")
    for name in ("one", "five")
    for kind in ("create", "update", "status")
)


def _beside(key: str, title: str, run: str, full: dict[str, Any], quick: dict[str, Any] | None = None) -> Scenario:
    full = {"rate": 5, "calm": 30, "trouble": 60, "late": 90, **full}
    metrics = [*PERCENTILES, Metric("late", "later than 1 s, %")]
    if run == "backlogged":
        metrics.append(Metric("neighbours_rate", "neighbours' deliveries / s", 0))
    return Scenario(
        key=key,
        title=title,
        question="A healthy lane with a few events a second, before and during trouble.",
        subjects=(
            Subject("calm", "healthy events, calm", f"{NEIGHBOURS}:{run}"),
            Subject("trouble", "healthy events, trouble", None),
        ),
        metrics=tuple(metrics),
        ratio="p99",
        base="calm",
        better="less",
        chart=("p50", "p99"),
        unit="ms",
        full=full,
        quick=quick and {**full, "calm": 4, "trouble": 6, "late": 4, **quick},
        rounds=2,
        targets=(Target("p99 at most 2 × calm", ("trouble", "p99"), 2, True, ("calm", "p99")),),
    )


def _growth(key: str, title: str, full: dict[str, Any]) -> Scenario:
    shared = {"rows": 3_000, "rate": 20, "seconds": 10}
    return Scenario(
        key=f"growth-{key}",
        title=f"Growth: {title}",
        question="One lane drains and then hears of single saves, in an empty database and in one that has grown.",
        subjects=(
            Subject("empty", "empty database", f"{GROWTH}:measured", settings={"statistics": "fresh"}),
            Subject("grown", title, f"{GROWTH}:measured", settings=full),
        ),
        metrics=(RATE, *PERCENTILES),
        ratio="rate",
        base="empty",
        better="more",
        chart=("rate",),
        unit="deliveries / s",
        full=shared,
        targets=(
            Target("drain within 1.2 ×", ("empty", "rate"), 1.2, True, ("grown", "rate")),
            Target("look (p50) within 1.2 ×", ("grown", "p50"), 1.2, True, ("empty", "p50")),
        ),
    )


def _one(key: str, title: str, question: str, run: str, metrics: tuple[Metric, ...], **fields: Any) -> Scenario:
    """A scenario with ourselves as its only subject."""
    return Scenario(
        key=key,
        title=title,
        question=question,
        subjects=(Subject("ours", "this project", f"{UPKEEP}:{run}"),),
        metrics=metrics,
        ratio=metrics[0].key,
        base="ours",
        better="less",
        **fields,
    )


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        key="receiver",
        title="The receiver itself",
        question="Is the receiver the bottleneck? Requests without any database, and its CPU for each.",
        subjects=(
            Subject("pipelined", "50 at a time", f"{DRAIN}:sends", settings={"client": "none", "rows": 50_000}),
            Subject("pycurl", "signed sends, pycurl", f"{DRAIN}:sends", settings={"client": "pycurl"}),
            Subject("urllib3", "signed sends, urllib3", f"{DRAIN}:sends", settings={"client": "urllib3"}),
        ),
        metrics=(Metric("rate", "requests / s", 0), Metric("receiver_us", "receiver CPU, µs each", 1)),
        ratio="rate",
        base="pycurl",
        better="more",
        chart=("rate",),
        unit="requests / s",
        full={"rows": 10_000},
        quick={"rows": 3_000},
    ),
    _drain(1, 1, (OURS, WEBHOOK, TUNED, OUTBOUND, PLAIN, URLLIB3, PYCURL), quick=True),
    _drain(2, 2, (OURS, TUNED, URLLIB3, PYCURL), quick=False),
    _drain(10, 2, (OURS, TUNED, URLLIB3, PYCURL), quick=False),
    _latency(2, quick=False),
    _latency(20, quick=True),
    _latency(100, quick=False),
    _save("save", "A user's save", {"repeats": 150}, True, SAVE_TARGETS),
    _save(
        "save-network",
        "A user's save, 1 ms from the database",
        {"repeats": 100, "network_ms": 1.0},
        False,
        NETWORK_TARGETS,
    ),
    Scenario(
        key="saves-received",
        title="Saves, one by one",
        question="How long after the saves are the last ones received, and what do deliveries cost the saves?",
        subjects=(
            Subject("alone", "the saves alone, no worker", f"{SAVING}:saves_alone"),
            Subject("delivered", "saved and received", f"{SAVING}:saves_received"),
        ),
        metrics=(
            Metric("saves", "saves, s", 2),
            Metric("received", "all received, s", 2),
            Metric("share", "received ÷ saves of the same run", 3),
        ),
        ratio="saves",
        base="alone",
        better="less",
        chart=("saves", "received"),
        unit="s",
        full={"saves": 1_000},
        quick={"saves": 200},
        targets=(Target("all received within 1.02 × the saves", ("delivered", "share"), 1.02, True),),
    ),
    Scenario(
        key="bulk",
        title="Bulk writes: bulk_create and update()",
        question="What capture costs where many rows are written at once.",
        subjects=(
            Subject("plain", "a model that nobody captures", f"{SAVING}:bulk"),
            Subject("nobody", "captured, nobody subscribed", None),
            Subject("one", "one subscriber", None),
        ),
        metrics=(Metric("create", "bulk_create, ms", 0), Metric("update", "update(), ms", 0)),
        ratio="create",
        base="plain",
        better="less",
        chart=("create", "update"),
        unit="ms",
        full={"creates": 10_000, "updates": 5_000},
        quick={"creates": 1_000, "updates": 500},
        targets=(
            Target("bulk_create with one subscriber", ("one", "create"), 3, True, ("plain", "create")),
            Target("update() with one subscriber", ("one", "update"), 10, True, ("plain", "update")),
        ),
    ),
    _beside(
        "hang-20", "Beside 20 endpoints that begin to hang", "hanging", {"endpoints": 20, "every": 5}, {"every": 3}
    ),
    _beside("hang-60", "Beside 60 endpoints that begin to hang", "hanging", {"endpoints": 60, "every": 5}),
    _beside(
        "hang-20-due",
        "Beside 20 endpoints that hang, 100,000 rows due",
        "hanging",
        {"endpoints": 20, "every": 5, "due": 100_000},
    ),
    _beside(
        "backlog-2", "Beside two lanes with 50,000 due each", "backlogged", {"lanes": 2, "due": 50_000, "trouble": 20}
    ),
    _beside(
        "backlog-4", "Beside four lanes with 50,000 due each", "backlogged", {"lanes": 4, "due": 50_000, "trouble": 30}
    ),
    _beside(
        "refused",
        "A lane with 10 % failing payloads",
        "refused",
        {"path": "/bad/", "rate": 1, "calm": 60, "trouble": 180, "late": 60},
    ),
    _growth("burst", "statistics of an empty table", {}),
    _growth("young", "5,000 lanes with ten rows each", {"lanes": 5_000, "settled_each": 10}),
    _growth("history", "one lane with 1,000,000 settled rows", {"settled": 1_000_000}),
    _growth("due", "1,000,000 rows due elsewhere", {"due_elsewhere": 1_000_000, "resting_lanes": 50}),
    _growth("lanes", "10,000 lanes", {"lanes": 10_000}),
    _one(
        "sweep",
        "The periodic look with many lanes due",
        "How long one sweep takes, and the next one if nobody has worked meanwhile.",
        "sweep",
        (Metric("first", "first sweep, s", 2), Metric("again", "second sweep, s", 2)),
        chart=("first", "again"),
        unit="s",
        full={"lanes": 5_000},
        quick={"lanes": 300},
        targets=(Target("a sweep", ("ours", "first"), 0.5, True, unit="s"),),
    ),
    _one(
        "delete",
        "Delete an integration with a long history",
        "What whoever deletes waits for and needs, and when the last row is gone.",
        "delete",
        (
            Metric("call", "delete() returns, s", 2),
            Metric("gone", "all gone, s", 1),
            Metric("caller_mib", "caller's memory, MiB", 0),
            Metric("worker_mib", "worker's memory, MiB", 0),
        ),
        chart=("call", "gone"),
        unit="s",
        full={"rows": 500_000},
        rounds=1,
        targets=(
            Target("memory of whoever calls", ("ours", "caller_mib"), 100, True, unit="MiB"),
            Target("memory of the worker", ("ours", "worker_mib"), 100, True, unit="MiB"),
        ),
    ),
    _one(
        "memory",
        "A worker's memory over many deliveries",
        "The largest process of the workers after the first tenth, in the middle and at the end.",
        "memory",
        (
            Metric("start", "start, MiB", 0),
            Metric("middle", "middle, MiB", 0),
            Metric("end", "end, MiB", 0),
            RATE,
            WORKER,
            DATABASE,
        ),
        chart=("start", "middle", "end"),
        unit="MiB",
        full={"rows": 100_000, "lanes": 4, "portions": 10},
        rounds=1,
        targets=(
            Target("at the end", ("ours", "end"), 120, True, unit="MiB"),
            Target("flat", ("ours", "end"), 1.05, True, ("ours", "middle")),
        ),
    ),
)


def scenario(key: str) -> Scenario:
    """Return a scenario by its name."""
    return next(one for one in SCENARIOS if one.key == key)
