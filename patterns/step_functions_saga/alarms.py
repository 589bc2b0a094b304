"""What the alarms of a saga say to the person on call."""

from ..blocks.alarms import Runbook

PARKED = Runbook(
    means="A saga could not be undone and waits for a person; in Standard for the TimeoutSeconds "
    "of the step that parks it.",
    see="Read the message in the parked queue: it names the order, the step and the error.",
    fix="Fix the cause, then answer the message as the pattern's page says, and delete it.",
    verify="The parked queue is empty, and the order is cancelled.",
)
FAILED = Runbook(
    means="Sagas failed: a step kept failing although its dependency should work. They are undone, "
    "unless the parked queue holds them.",
    see="Read the error of a failed execution: it names the step.",
    fix="Fix what the step calls. Clients may then order again.",
    verify="New executions succeed.",
)
