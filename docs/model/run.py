"""Check the lane's protocol: SPIN on lane.pml in every configuration, then choice.py and verdicts.py.

    python docs/model/run.py                  everything; a table, and exit code 1 if a run ends otherwise than expected
    python docs/model/run.py NAME [NAME …]    these runs only; what went wrong is told as a story (the trail)

Needs `spin` and `cc`. Where they are missing it says so and ends well, unless REQUIRE_SERVICES=1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS = 240.0  # for one run, on a busy machine too
MEGABYTES = 1300  # for one run; two run side by side
JOBS = 2

# The numbers are those of lane.pml.
PROMISES = {
    1: "forgotten",
    2: "late",
    3: "two senders",
    4: "order",
    5: "copy",
    6: "person undone",
    7: "busy loop",
    8: "hints pile up",
    9: "poison",
}

CORRECT = {
    "calm": "",
    "one saving process": "R=3 SAVERS=1 BEATS=1",
    "a sweep at any moment": "BEATS=1",
    "a hint arrives twice": "DUP=1 QCAP=5",
    "no worker answers": "W=0 R=3 SAVERS=1 BEATS=2 QCAP=2",
    "one object, failures": "SAMEOBJ FAIL SAVERS=1 BEATS=1",
    "failures, crash, lost hint": "SAMEOBJ FAIL SAVERS=1 BEATS=1 CRASH=1 LOSS=1",
    "crash, lost hint": "CRASH=1 LOSS=1 BEATS=1",
    "two crashes": "CRASH=2",
    "lease lost while sending": "SLOW=1 CRASH=1 LOSS=1",
    "holder stands still": "STALL=1 BEATS=1",
    "holder stands still, one saver": "STALL=1 R=3 SAVERS=1",
    "long mark, holder dies": "LONG_MARK CRASH=1 WHILE_SENDING W=1 BEATS=1",
    "poison": "R=3 POISON=1 ROUNDS=5",
    "cancel, retry": "PERSON=1",
    "cancel, retry, failures": "PERSON=1 FAIL W=1",
    "resume": "PERSON=2 FAIL",
    "mend, re-enable": "PERSON=4 REFUSE",
    "off and on": "PERSON=8 SAVERS=1",
    "disable, re-enable": "PERSON=16",
    "delete": "PERSON=32 BEATS=1",
}

# What is done wrong, where it shows, and which promise breaks.
MUTANTS = {
    "LOOK_FIRST": ("", "forgotten"),
    "MARK_AFTER": ("BEATS=1", "forgotten"),
    "CLEAR_AFTER_LOOK": ("BEATS=1", "forgotten"),
    "CLEAR_AT_RELEASE": ("LONG_MARK CRASH=1 WHILE_SENDING W=1 BEATS=1", "late"),
    "RELEASE_KEEPS_MARK": ("STALL=1 BEATS=1", "forgotten"),
    "RELEASE_KEEPS_TURN": ("STALL=1 R=3 SAVERS=1", "forgotten"),
    "MEMORY_WITHOUT_TURN": ("SAVERS=1", "forgotten"),
    "ACTION_COUNTS_TURN": ("PERSON=2 BEATS=1 FAIL", "forgotten"),
    "NO_MEMORY": ("W=0 R=3 SAVERS=1 BEATS=2 QCAP=2", "hints pile up"),
    "SWEEP_UNMARKED": ("W=0 R=3 SAVERS=1 BEATS=2 QCAP=2", "hints pile up"),
    "OTHER_PREDICATE": ("SAMEOBJ FAIL SAVERS=1", "busy loop"),
    "NO_CHAIN": ("SAMEOBJ FAIL SAVERS=1", "order"),
    "NOT_ASKING": ("STALL=1", "copy"),
    "NO_FENCE": ("SLOW=1", "two senders"),
    "NO_EPOCH": ("PERSON=2 FAIL", "person undone"),
    "NO_SETTINGS": ("PERSON=4 REFUSE", "person undone"),
    "ANY_GENERATION": ("PERSON=1 FAIL W=1", "person undone"),
    "OVER_CANCELLED": ("PERSON=1 W=1", "person undone"),
    "CANCEL_UNREAD": ("PERSON=8", "person undone"),
    "DEATHS_UNCOUNTED": ("R=3 POISON=1 ROUNDS=5", "late"),
    "NOT_CAREFUL": ("R=3 POISON=1 ROUNDS=5", "late"),
    # No mutant of the code but of its settings: a mark that outlives the lease makes a lost hint too late.
    "none, HINT_SECONDS > LEASE_SECONDS": ("LONG_MARK LOSS=1 BEATS=1", "late"),
}


@dataclass(frozen=True)
class Run:
    """One configuration; `expected` is "holds" or the promise that must break."""

    name: str
    flags: tuple[str, ...]
    expected: str


@dataclass(frozen=True)
class Result:
    """What came of a run; `found` is "holds", a promise, or what went wrong with the run itself."""

    run: Run
    found: str
    states: int
    seconds: float
    story: str = ""


def all_runs() -> list[Run]:
    """List the configurations that must hold, then the mutants that must not."""
    runs = [Run(name, _flags(text), "holds") for name, text in CORRECT.items()]
    for name, (text, promise) in MUTANTS.items():
        mutant = f"MUT_{name}" if "," not in name else ""
        runs.append(Run(f"MUT {name}", _flags(f"{text} {mutant}"), promise))
    return runs


def _flags(text: str) -> tuple[str, ...]:
    return tuple(f"-D{word}" for word in text.split())


def check(run: Run) -> Result:
    """Generate, compile and run one verifier."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lane-model-") as folder:
        model = str(HERE / "lane.pml")
        for command in (
            ["spin", "-a", *run.flags, model],
            # Not optimised: compiling would take longer than running.
            [
                "cc",
                "-O0",
                "-w",
                "-DSAFETY",
                "-DCOLLAPSE",
                "-DVECTORSZ=2048",
                f"-DMEMLIM={MEGABYTES}",
                "-o",
                "pan",
                "pan.c",
            ],
        ):
            made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if made.returncode:
                return Result(run, f"{command[0]} failed", 0, 0.0, made.stdout + made.stderr)
        try:
            done = subprocess.run(
                ["./pan", "-m20000", "-w22"], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return Result(run, f"not through after {SECONDS:.0f} s", 0, SECONDS)
        found = _verdict(done.stdout)
        story = "" if found == "holds" else _story(run, model, folder) + done.stderr
        counted = re.search(r"(\d+) states, stored", done.stdout)
    return Result(run, found, int(counted.group(1)) if counted else 0, time.monotonic() - started, story)


def _verdict(output: str) -> str:
    if violated := re.search(r"assertion violated (.*) \(at depth", output):
        number = re.search(r"\|\|\((\d+)==0\)\)$", violated.group(1))
        return PROMISES[int(number.group(1))] if number else violated.group(0)
    if "errors: 0" not in output:
        return (re.search(r"pan:\d+: (.*)", output) or re.search(r"(.+)", output) or ["no output"])[0]
    # Half a search proves nothing.
    for short in ("max search depth too small", "out of memory", "Search not completed"):
        if short in output:
            return short
    return "holds"


def _story(run: Run, model: str, folder: str) -> str:
    """Replay the trail; what the model prints on the way, one event a line."""
    # The trail is named after the model, and looked for in the current directory.
    command = ["spin", "-t", "-T", "-B", "-k", f"{Path(model).name}.trail", *run.flags, model]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def main(wanted: list[str]) -> int:
    """Run what is wanted, print the table, return the exit code."""
    missing = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
    if missing:
        print(f"The model is not checked: {' and '.join(missing)} not found (Debian: apt-get install spin gcc).")
        return 1 if os.environ.get("REQUIRE_SERVICES") == "1" else 0
    runs = [run for run in all_runs() if not wanted or any(word.lower() in run.name.lower() for word in wanted)]
    wrong = 0
    started = time.monotonic()
    print(f"{'configuration':42} {'states':>9} {'seconds':>7}  {'expected':15} found")
    with ThreadPoolExecutor(JOBS) as pool:
        for result in pool.map(check, runs):
            is_right = result.found == result.run.expected
            wrong += not is_right
            run = result.run
            line = f"{run.name:42} {result.states:9,} {result.seconds:7.1f}  {run.expected:15} {result.found}"
            print(line + ("" if is_right else "   <-- WRONG"), flush=True)
            if result.story and (wanted or not is_right):
                print("\n".join(f"    {row.strip()}" for row in result.story.splitlines()[:60]))
    if not wanted:
        for script in ("choice.py", "verdicts.py"):
            print(f"\n{script}", flush=True)
            wrong += subprocess.run([sys.executable, str(HERE / script)], check=False).returncode != 0
    print(f"\n{len(runs)} configurations, {wrong} wrong, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
