"""Reads a synthesized CDK app: its stacks, those inside stages too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Stack:
    """One stack of the app.

    Attributes:
        name: Its name in CloudFormation.
        path: Its construct path, such as ``Prod/Orders``, by which the CLI knows it.
        id: Its id in the manifest.
        account: Account that it names. Default: none, "".
        region: Region that it names. Default: none, "".
        template: Its template.
    """

    name: str
    path: str
    id: str
    account: str
    region: str
    template: dict[str, Any]


def stacks(folder: Path) -> list[Stack]:
    """Return the stacks of a synthesized app, in the app's order."""
    return list(_stacks(folder))


def _stacks(folder: Path) -> Iterator[Stack]:
    artifacts = json.loads((folder / "manifest.json").read_text()).get("artifacts", {})
    for id_, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(folder / properties["directoryName"])
        if artifact["type"] == "aws:cloudformation:stack":
            account, region = artifact["environment"].removeprefix("aws://").split("/")
            yield Stack(
                name=properties.get("stackName", id_),
                path=artifact.get("displayName", id_),
                id=id_,
                account="" if account == "unknown-account" else account,
                region="" if region == "unknown-region" else region,
                template=json.loads((folder / properties["templateFile"]).read_text()),
            )


def select(folder: Path, names: Sequence[str]) -> dict[str, Stack]:
    """Return stacks by the names asked for: of the stack, its construct's path or id.

    ``names`` may be empty: all stacks, by their names in CloudFormation.

    Raises:
        SandboxError: there is none of this name; the message lists those there are.
    """
    found = stacks(folder)
    if not names:
        return {stack.name: stack for stack in found}
    known = {name: stack for stack in found for name in (stack.id, stack.path, stack.name)}
    for name in names:
        if name not in known:
            there = ", ".join(stack.path for stack in found) or "none"
            raise SandboxError(f"The app has no stack {name!r}. There are: {there}.")
    return {name: known[name] for name in names}
