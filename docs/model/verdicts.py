"""Simulate what a failure says about the destination (docs/adr/0022): second opinions against a plain breaker.

One lane, one object per row, 10 ms a request, rows retried after 15 s, 30 s, 1 min …; a pause of 30 s, 1 min … 15 min;
a sweep every 15 s. The plain breaker pauses after five failures in a row and probes with the oldest row that never
failed. Two ways to choose the opinions: among all due heads, and among those that never failed, if there are any. Rows
that failed before come back with every pause, so among all of them the few good ones are soon hard to hit. Each run has
its seed, so that the figures are the same on every machine. Exit code 1 if the second way misses a bound.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass, field

REQUEST, SWEEP, SLICE, OPENS_AFTER, OPINIONS, EVERY = 0.01, 15.0, 100, 5, 5, 5


@dataclass
class Row:
    """One row: whether the destination refuses it for ever, and what became of it."""

    is_bad: bool = False
    born: float = 0.0
    due: float = 0.0
    attempts: int = 0
    failed_at: float = -1.0
    done: float = math.inf


@dataclass
class Lane:
    """A lane with a verdict; `opinions`: whom it asks, "none" (the plain breaker), "all" or "fresh" ones first."""

    rows: list[Row]
    opinions: str
    chance: random.Random
    down_until: float = 0.0
    now: float = 0.0
    failures: int = 0
    opened: int = 0
    took_at: float = -1.0
    requests: int = 0
    refused_requests: int = 0
    starts: int = 0
    open_rows: list[Row] = field(default_factory=list)

    def run(self, until: float) -> Lane:
        """Let time pass until every good row is there, or it is `until`."""
        self.open_rows = sorted(self.rows, key=lambda row: row.born)
        while self.now < until and any(not row.is_bad for row in self.open_rows):
            heads = [row for row in self.open_rows if row.born <= self.now and row.due <= self.now]
            if not heads or not self.slice(heads):
                self.now = (math.floor(self.now / SWEEP) + 1) * SWEEP
            self.open_rows = [row for row in self.open_rows if row.done == math.inf]
        return self

    def slice(self, heads: list[Row]) -> bool:
        """Send a slice, or the probe; return False if the lane rests then (`now` is the end of the pause)."""
        for row in self.order(heads)[: 1 if self.opened else SLICE]:
            self.send(row)
            if self.failures >= OPENS_AFTER or (self.opened and row.done == math.inf):
                if self.opinions != "none" and self.ask_others():
                    return True
                self.now += min(900.0, 30.0 * 2 ** min(self.opened, 32))
                self.opened += 1
                return False
        return True

    def order(self, heads: list[Row]) -> list[Row]:
        """Fresh ones first, oldest first; every fifth start is a failed one, oldest due first."""
        fresh = [row for row in heads if not row.attempts]
        failed = sorted((row for row in heads if row.attempts), key=lambda row: row.due)
        result: list[Row] = []
        while fresh or failed:
            self.starts += 1
            result.append((failed if failed and (not fresh or self.starts % EVERY == 0) else fresh).pop(0))
        return result

    def ask_others(self) -> bool:
        """Ask up to five other due heads, chosen at random, until one is taken; return whether one was."""
        others = [
            row
            for row in self.open_rows
            if row.done == math.inf and row.born <= self.now and row.due <= self.now and row.failed_at < self.now
        ]
        self.chance.shuffle(others)
        if self.opinions == "fresh":
            others.sort(key=lambda row: row.attempts > 0)
        return any(self.send(row) for row in others[:OPINIONS])

    def send(self, row: Row) -> bool:
        """Send one row and judge the answer."""
        self.now += REQUEST
        self.requests += 1
        if not row.is_bad and self.now >= self.down_until:
            row.done = self.took_at = self.now
            self.failures = self.opened = 0
            return True
        self.refused_requests += 1
        # No evidence if the destination has taken something since this row failed last.
        is_evidence = self.opinions == "none" or not 0 <= row.failed_at < self.took_at
        self.failures += is_evidence
        row.attempts += 1
        row.failed_at = self.now
        row.due = self.now + min(21600.0, 15.0 * 2 ** (row.attempts - 1))
        return False

    def waits(self) -> list[float]:
        """How long each good row took, ascending."""
        return sorted(row.done - row.born for row in self.rows if not row.is_bad)


def bad_ahead(count: int, opinions: str, seed: int) -> Lane:
    """So many bad rows ahead of twenty good ones, all at once."""
    rows = [Row(is_bad=True) for _ in range(count)] + [Row() for _ in range(20)]
    return Lane(rows, opinions, random.Random(seed)).run(86400.0)


def one_a_second(opinions: str, seed: int) -> Lane:
    """Ten minutes of one row a second, every tenth bad at random. Each is looked at when it is saved."""
    chance = random.Random(seed)
    rows = [Row(is_bad=chance.random() < 0.1, born=float(second), due=float(second)) for second in range(600)]
    lane = Lane(rows, opinions, chance)
    lane_of_saves(lane)
    return lane


def lane_of_saves(lane: Lane) -> None:
    """Run the lane with a look at each save, and every sweep for what came due."""
    rests_until = 0.0
    for tick in range(3600):
        lane.now = max(lane.now, float(tick))
        while lane.now < tick + 1 and lane.now >= rests_until:
            lane.open_rows = [row for row in lane.rows if row.done == math.inf]
            heads = [row for row in lane.open_rows if row.born <= lane.now and row.due <= lane.now]
            if tick % SWEEP:
                heads = heads if any(row.born == tick for row in heads) else []
            if not heads:
                break
            if not lane.slice(heads):
                rests_until = lane.now
                lane.now = float(tick + 1)
    lane.now = max(lane.now, rests_until)


def destination_down(opinions: str, seed: int) -> Lane:
    """Fifty rows wait while the destination is down for half an hour."""
    return Lane([Row() for _ in range(50)], opinions, random.Random(seed), down_until=1800.0).run(86400.0)


def percentile(values: list[float], part: float) -> float:
    """The value below which that part lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def main(runs: int = 100) -> int:
    """Print the figures, return the exit code."""
    missed = []
    for count, bound in ((6, 5.0), (20, 60.0), (40, 60.0), (150, 3600.0)):
        plain_last = bad_ahead(count, "none", 0).waits()[-1]
        print(f"{count} bad ahead of 20 good; plain breaker: the last good one after {plain_last:,.0f} s")
        for opinions in ("all", "fresh"):
            lasts = [bad_ahead(count, opinions, seed).waits()[-1] for seed in range(runs)]
            print(
                f"    opinions of {opinions:5}: median {percentile(lasts, 0.5):,.1f} s, "
                f"p95 {percentile(lasts, 0.95):,.1f} s, worst of {runs} {max(lasts):,.1f} s"
            )
            if opinions == "fresh" and max(lasts) > bound:
                missed.append(f"{count} bad ahead: {max(lasts):,.0f} s > {bound:.0f} s")

    print("ten minutes of one a second, 10 % bad (of ten runs)")
    for opinions in ("none", "all", "fresh"):
        waits = [wait for seed in range(10) for wait in one_a_second(opinions, seed).waits()]
        late = sum(wait > 1 for wait in waits)
        print(f"    opinions of {opinions:5}: worst good one {max(waits):.2f} s, {late} of {len(waits)} late")
        if opinions == "fresh" and max(waits) > 1.0:
            missed.append(f"one a second: {max(waits):.0f} s")

    plain = destination_down("none", 0)
    print(f"down for 30 min, 50 rows; plain breaker: {plain.requests} requests, {plain.refused_requests} for nothing")
    for opinions in ("all", "fresh"):
        lanes = [destination_down(opinions, seed) for seed in range(runs)]
        requests = percentile([float(lane.requests) for lane in lanes], 0.5)
        refused = percentile([float(lane.refused_requests) for lane in lanes], 0.5)
        print(
            f"    opinions of {opinions:5}: {requests:.0f} requests, {refused:.0f} for nothing: "
            f"{requests / plain.requests:.2f} x and {refused / plain.refused_requests:.2f} x"
        )
        if opinions == "fresh" and requests > 1.5 * plain.requests:
            missed.append(f"down: {requests / plain.requests:.2f} x the requests")
    for text in missed:
        print(f"MISSED {text}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
