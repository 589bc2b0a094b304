"""The page that lists the rules, made from what each rule says of itself."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from .__main__ import rules

if TYPE_CHECKING:
    from cfnlint.rules import CloudFormationLintRule

PAGE = Path(__file__).resolve().parents[1] / "docs" / "rules.md"
TOPICS = {
    "00": "What was not checked, or ignored",
    "10": "Queues and dead-letter queues",
    "11": "SQS → Lambda",
    "12": "Streams → Lambda",
    "13": "FIFO where it is not supported",
    "14": "Firehose",
    "15": "Encryption",
    "16": "Permissions",
    "17": "API Gateway",
    "18": "Alarms and failures",
    "19": "Events that are never sent, or lost after one attempt",
    "20": "Pipes, state machines and schedules",
    "21": "Topics and their endpoints",
    "22": "Events that clients do not see",
    "23": "Delays",
    "24": "Databases",
}
HEAD = """\
# Rules for any template

`make check TEMPLATE=…` checks templates against these rules; [how to use them](check-templates.md)
in cfn-lint, a CDK app, CI and pre-commit, how to set them, and what is not checked, is on a page of
its own. Each rule says what to fix, and links to the AWS page that says why.
[Another page](refusals.md) lists what the constructs reject; a check that both make is one
function, with the same message. **E**: AWS rejects the template, or events are lost in normal
operation. **W**: events are lost, or good events are dead-lettered, when something fails. **I**:
worth knowing; shown with `--include-checks I`.

A value that is known only at deployment (an import, a parameter without a default, a parameter that
a condition uses) is never a finding. Each combination of the template's conditions is checked on
its own, and a finding names the case ("when WithAlarm is false"). SAM functions are checked with
their events.

E9101 and E9111 go further than E3502 and E3505 of cfn-lint itself (ARNs, aliases, SAM events), so
`--all` can report a mistake twice.
"""

# Check of cfn-lint-serverless 0.3.6, of cdk-nag's Serverless pack, ours: those about lost events.
OTHERS = (
    ("ES1001", "LambdaEventSourceMappingDestination", "W9121 W9122"),
    ("ES1007", "LambdaAsyncFailureDestination", "W9193 I9194"),
    ("", "LambdaDLQ", "W9193 I9194"),
    ("ES4000", "EventBusDLQ", "W9192 I9183"),
    ("ES6000", "SQSRedrivePolicy", "W9102 I9107"),
    ("ES7000", "SNSRedrivePolicy", "I9183"),
    ("ES1006", "LambdaDefaultTimeout", "E9111 W9112 E9142"),
)
ELSEWHERE = {  # what their other checks are about
    "tracing": "WS1000 WS2002 WS3000 WS5000 "
    "LambdaTracing APIGWXrayEnabled AppSyncTracing StepFunctionStateMachineXray",
    "logs and their retention": "WS1004 ES2000 WS2001 "
    "CloudWatchLogGroupRetentionPeriod APIGWAccessLogging APIGWStructuredLogging",
    "permissions that are wide": "WS1002 WS1003 LambdaStarPermissions",
    "sizes, versions and throttling": "ES1005 ES2003 "
    "LambdaDefaultMemorySize LambdaLatestVersion APIGWDefaultThrottling",
}
COMPARISON = """\
## Beside other packs

Every check of [cfn-lint-serverless](https://github.com/awslabs/serverless-rules) (0.3.6) and of
[cdk-nag](https://github.com/cdklabs/cdk-nag)'s Serverless pack (3.0) that is about lost events has
its rules here. Theirs ask for a property; these ask whether an event can be lost. For example, the
mapping of a queue needs no destination, but the queue needs a dead-letter queue.

| cfn-lint-serverless | cdk-nag | Here |
|---|---|---|
"""


def render() -> str:
    """Return the page as it has to be now."""
    parts = [HEAD]
    for topic, members in groupby(rules(), key=lambda rule: str(rule.id)[2:4]):
        parts += [f"## {TOPICS[topic]}\n", *map(_entry, members)]
    rows = [
        f"| {theirs or 'none'} | {nag} | {', '.join(own.split())} |" for theirs, nag, own in OTHERS
    ]
    rest = [f"{about} ({', '.join(ids.split())})" for about, ids in ELSEWHERE.items()]
    parts += [COMPARISON + "\n".join(rows), f"\nTheir others are about {'; '.join(rest)}.\n"]
    return "\n".join(parts)


def _entry(rule: CloudFormationLintRule) -> str:
    settings = "".join(
        f" Setting: `{rule.id}:{name}={value}`."
        for name, value in getattr(rule, "settings", {}).items()
    )
    about = f"{rule.description}{settings} [AWS]({rule.source_url})"
    return f"**{rule.id}** {rule.shortdesc}.\n{about}\n"
