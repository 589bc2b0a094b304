"""What the alarms of a saga say to the person on call."""

from ..blocks.alarms import Runbook
from ..blocks.state_machines import START_AGAIN

PARKED = Runbook(
    means="A saga could not be undone and waits for a person. A Standard saga waits as long as "
    "TimeoutSeconds of the step that parks it.",
    see="Read the message in the parked queue: it names the order, the step and the error.",
    fix="Fix the cause, then answer the message as the pattern's page says, and delete it.",
    verify="The parked queue is empty, and the order is cancelled.",
)
FAILED = Runbook(
    means="Sagas failed: a step still failed after its retries. They are undone, unless the "
    "parked queue holds them, or the error is one that no step could catch: "
    "States.Runtime, or one of a state that is no step, such as a Choice.",
    see="Read the error of a failed execution: it names the step.",
    fix="Fix what the step calls; clients may then order again. If no step could catch the error, "
    f"fix the definition. Start the failed executions {START_AGAIN}",
    verify="New executions succeed, and none has ended half done.",
)
