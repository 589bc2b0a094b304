"""Runs the tests that reach each change, in processes forked from one that has collected them.

mutmut collects them again for each change, which takes longer than the tests. It is run where
mutmut has made and reached the changes; the names come in as JSON, the exit codes go out.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

CODES = Path("codes.json")  # exit codes by change, as mutmut has them
NOTICED, NOBODY_LOOKED = 1, 33
SLACK = 20  # seconds


class Runner:
    """A plugin of pytest: in place of all tests, it runs those of each change.

    Args:
        names: Of the changes, as mutmut has them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        stats = json.loads(Path("mutmut-stats.json").read_text())
        self.names, self.seconds = names, stats["duration_by_test"]
        self.reaching = stats["tests_by_mangled_function_name"]
        self.codes: dict[str, int] = {}
        self.first: dict[str, float] = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run the tests of each change, the quickest first."""
        items = {item.nodeid: item for item in session.items}
        sharing = _sharing(session.items)
        # The first of those that share a fixture makes it, whichever that is.
        self.first = {test: max(map(self._took, them)) for test, them in sharing.items()}
        tests = {
            name: [items[it] for it in self._tests(name, items, sharing)] for name in self.names
        }
        every = {item.nodeid: item for each in tests.values() for item in each}
        if self._try("", [*every.values()]) not in (0, NOBODY_LOOKED):
            raise pytest.UsageError("A test fails without a change: no change can be judged.")
        for name in self.names:
            self.codes[name] = self._try(name, tests[name])
            CODES.write_text(json.dumps(self.codes))
        return True

    def _tests(
        self, name: str, items: Container[str], sharing: Mapping[str, set[str]]
    ) -> list[str]:
        ids = {it for it in self.reaching.get(name.rpartition("__mutmut_")[0], ()) if it in items}
        ids = ids.union(*(sharing.get(it, ()) for it in ids))
        return sorted(ids, key=lambda test: self.first.get(test, self._took(test)))

    def _took(self, test: str) -> float:
        return float(self.seconds.get(test, 0))

    def _try(self, name: str, tests: Sequence[Any]) -> int:
        """Return how a process ends that has the change."""
        if not tests:
            return NOBODY_LOOKED
        seconds = int(5 * sum(self._took(item.nodeid) for item in tests)) + SLACK
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            signal.alarm(4 * seconds)
            os._exit(_noticed(name, tests))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _sharing(items: Sequence[Any]) -> dict[str, set[str]]:
    """Return, by test, those that share a module's fixture: mutmut tells of the first one only."""
    users: dict[tuple[str, str], set[str]] = {}
    for item in items:
        for name, found in item._fixtureinfo.name2fixturedefs.items():
            if found[-1].scope == "module":
                users.setdefault((found[-1].baseid, name), set()).add(item.nodeid)
    shared: dict[str, set[str]] = {}
    for them in users.values():
        for test in them:
            shared[test] = shared.get(test, set()) | them
    return shared


def change_to(name: str) -> None:
    """Let this process run a change, or the code as it is for no name."""
    import_module("mutmut.mutation.trampoline").set_mutant_under_test(name)


def _noticed(name: str, tests: Sequence[Any]) -> int:
    change_to(name)
    try:
        for item, following in zip(tests, [*tests[1:], None], strict=True):
            reports = runtestprotocol(item, log=False, nextitem=following)
            if any(report.failed for report in reports):
                return NOTICED
    except BaseException:
        return NOTICED
    return 0


def main() -> int:
    """Run the tests of the changes that standard input names."""
    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]
    arguments = settings["pytest_add_cli_args"] + settings["pytest_add_cli_args_test_selection"]
    sys.path.insert(0, "")
    change_to("")
    return int(pytest.main(["-q", "-s", *arguments], plugins=[Runner(json.load(sys.stdin))]))


if __name__ == "__main__":
    sys.exit(main())
