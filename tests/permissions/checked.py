"""A stack's arrows and strangers, judged: with its policies, and with one less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arrows import arrows, strangers
from .cloud import Cloud
from .judge import allowed, meets, mutants

if TYPE_CHECKING:
    from collections.abc import Mapping

HINT = "Nothing needs these: remove them, or say in tests/permissions/arrows.py what does."
# Permissions without an arrow. The rest of a survivor's name says which policy it is in.
EXPLAINED = {
    "Allow kms:DescribeKey on *": "EventBridge looks at the key of an archive, and names no source",
    "sqs:ChangeMessageVisibility of Allow": "the CDK's grant_consume_messages() has it, for "
    "functions that let a message wait; some of ours do",
    "sqs:GetQueueUrl of Allow": "the CDK's grant_consume_messages() has it",
    "states:SendTaskFailure of Allow": "the CDK's grant_task_response() has it",
}
# In a contract build the code of a function is not ours: what it is given, it may call.
OF_YOUR_CODE = {"Allow states:StartExecution on": "a starter starts executions"}


class Checked:
    """A template, its arrows, and the requests like them that must be refused."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.cloud = Cloud(template)
        self.arrows = arrows(self.cloud)
        refused = [one for arrow in self.arrows for one in strangers(self.cloud, arrow)]
        self.refused = list({str(one): one for one in refused}.values())

    def wrong(self, policies: Any, changed: str = "") -> list[str]:
        """Return the arrows that are refused and the strangers who are let in."""
        return [
            f"{'refused' if wanted else 'let in'}: {request}"
            for requests, wanted in ((self.arrows, True), (self.refused, False))
            for request in requests
            if not changed or changed in meets(self.cloud, request)
            if allowed(self.cloud, policies, request) is not wanted
        ]

    def survivors(self, explained: Mapping[str, str]) -> list[str]:
        """Return what can be taken out of a policy without an arrow or a stranger that tells."""
        return [
            gone
            for gone, policies in mutants(self.cloud).items()
            if not self.wrong(policies, gone.split(": ")[0])
            if not any(f": {one}" in gone for one in explained)
        ]
