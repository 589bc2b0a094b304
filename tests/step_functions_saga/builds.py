"""How the contract suites make the construct: with a little saga of three steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.step_functions_saga.construct import Saga, StepFunctionsSaga
from tests.contracts.builds import Build
from tests.inline import function
from tests.sagas import SAGA, table

if TYPE_CHECKING:
    from aws_cdk import Stack

_FOLDER = tempfile.TemporaryDirectory()


def make(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> StepFunctionsSaga:
    """Make the construct with the little saga; settings of ``Saga`` and ``machine`` change it."""
    text = json.dumps(settings.pop("machine", SAGA))
    file = Path(_FOLDER.name, f"{abs(hash(text))}.asl.json")
    file.write_text(text, encoding="utf-8")
    resources = {**settings.pop("resources", {})}
    given = {name: settings.pop(name) for name in [*settings] if name in Saga.__annotations__}
    kinds: dict[str, Any] = {"Charge": function, "Orders": table, "Stock": table}
    for name in kinds.keys() - resources.keys():
        resources[name] = kinds[name](stack, construct_id + name)
    saga = Saga(**{"definition": file, "resources": resources, **given})
    return StepFunctionsSaga(stack, construct_id, saga=saga, **settings)


def make_express(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> Any:
    return make(stack, construct_id, express=True, **settings)


def make_intake(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> Any:
    """Make the construct with a starter; return the queue that it reads."""
    starter = settings.pop("consumer", None) or function(stack, f"{construct_id}Starter")
    return make(stack, construct_id, starter=starter, **settings).intake


TAKES = frozenset({"endpoint", "mapping", "alarms"})
BUILDS = [
    Build("step_functions_saga", make, TAKES),
    Build("step_functions_saga express", make_express, TAKES),
    Build("step_functions_saga intake", make_intake, frozenset({"queue", "consumer", "alarms"})),
]
