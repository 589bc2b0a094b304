"""Who may do what: asked of the policy engine of MiniStack, which the sandbox has, too.

The engine knows statements and conditions. What AWS adds is ours: which policies a request meets.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import runtime

from .cloud import ACCOUNT, OTHER_ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cloud import Cloud, Document

ALL = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
# Principals that are in no template, and what their own policies allow.
ADMIN, STRANGER, NOBODY = (
    f"arn:aws:iam::{account}:role/{name}"
    for account, name in ((ACCOUNT, "Admin"), (OTHER_ACCOUNT, "Stranger"), (ACCOUNT, "Nobody"))
)
OUTSIDE = {ADMIN: [ALL], STRANGER: [ALL], NOBODY: []}


ENGINE = "ministack/core/iam_evaluator.py"


@cache
def _engine() -> Any:
    """Load the engine alone: it needs nothing but the standard library. Nothing is installed."""
    pythons = [python for home in runtime._homes() if (python := runtime._python(home)).exists()]
    if not pythons:
        pytest.skip("The policy engine is part of the embedded AWS, which `make setup` installs.")
    (file,) = pythons[0].parents[1].glob(f"lib/python*/site-packages/{ENGINE}")
    spec = importlib.util.spec_from_file_location("iam_evaluator", file)
    assert spec
    assert spec.loader
    module = sys.modules["iam_evaluator"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Request:
    """One request to AWS.

    Attributes:
        who: The ARN of a role, or a service principal.
        action: Such as ``sqs:SendMessage``.
        on: The ARN of what it is done to, or ``*``.
        context: Condition keys of the request.
        https: Whether it is encrypted on the way.
        of: The resource whose policy it meets, if it is not ``on`` itself: a bucket's object.
    """

    who: str
    action: str
    on: str
    context: Mapping[str, str] = field(default_factory=dict)
    https: bool = True
    of: str = ""

    @property
    def owner(self) -> str:
        """What has the policy."""
        return self.of or self.on

    def __str__(self) -> str:
        how = "" if self.https else " by plain HTTP"
        context = f" {dict(self.context)}" if self.context else ""
        return f"{self.who} {self.action} {self.on}{context}{how}"


def meets(cloud: Cloud, request: Request) -> list[str]:
    """Return the names of the policies that a request meets."""
    own = cloud.resource.get(request.owner)
    return cloud.identity.get(request.who, []) + ([own] if own else [])


def allowed(cloud: Cloud, policies: Mapping[str, Document], request: Request) -> bool:
    """Tell whether policies allow a request."""
    engine = _engine()
    account = request.who.split(":")[4] if request.who.startswith("arn:") else ""
    context = engine.EvalContext(
        principal_arn=request.who if account else "",
        principal_type="AssumedRole",
        principal_account=account,
        action=request.action,
        resource_arn=request.on,
        region=REGION,
        secure_transport=request.https,
        service_context={key.lower(): value for key, value in request.context.items()},
    )
    of_resource = policies.get(cloud.resource.get(request.owner, ""))
    if not account:
        decision = engine.evaluate_resource_policy(of_resource, context, service=request.who)
        return bool(decision.decision == "Allow")
    own = [policies[name] for name in cloud.identity.get(request.who, [])]
    documents = [engine.parse_policy_document(one) for one in OUTSIDE.get(request.who, own)]
    combined = engine.combine_resource_policy(
        engine.evaluate(context, documents),
        context,
        of_resource,
        ACCOUNT,
        required=request.action.startswith(("kms:", "sts:")),
    )
    return bool(combined.decision == "Allow")


def mutants(cloud: Cloud) -> dict[str, dict[str, Document]]:
    """Return each policy without a statement, an action or a condition of it, by what is gone."""
    found = {}
    for name, document in cloud.policies.items():
        if name.startswith("AWS "):
            continue
        statements = document["Statement"]
        for at, statement in enumerate(statements):
            for gone, less in _less(statement):
                others = [*statements[:at], *less, *statements[at + 1 :]]
                found[f"{name}: {gone}"] = {**cloud.policies, name: {"Statement": others}}
    return found


def _less(statement: Document) -> list[tuple[str, list[Document]]]:
    actions, conditions = statement["Action"], statement.get("Condition", {})
    listed = actions if isinstance(actions, list) else [actions]
    what = f"{statement['Effect']} {' '.join(listed)}"
    what += f" on {statement.get('Resource', 'itself')}"
    found: list[tuple[str, list[Document]]] = [(what, [])]
    for action in listed if len(listed) > 1 else ():
        left = [one for one in listed if one != action]
        found.append((f"{action} of {what}", [{**statement, "Action": left}]))
    for operator, keys in conditions.items():
        for key in keys:
            rest = {one: value for one, value in keys.items() if one != key}
            less = {**statement, "Condition": {**conditions, operator: rest}}
            found.append((f"{key} of {what}", [less]))
    return found
