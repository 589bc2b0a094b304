"""Amazon SQS queues, their dead-letter queues, and what Lambda needs of a queue."""

from __future__ import annotations

from ..limits import (
    SQS_LAMBDA_MIN_RECEIVES,
    SQS_LAMBDA_VISIBILITY_FACTOR,
    SQS_MAX_DELAY,
    SQS_MAX_RECEIVES,
    SQS_MAX_RETENTION,
    SQS_MAX_VISIBILITY,
    SQS_MIN_RETENTION,
)
from . import period

KIND = {True: "FIFO", False: "standard"}


def dead_letter_queue_type(queue: object, *, fifo: bool, dead_letter_fifo: bool) -> str | None:
    """A dead-letter queue is of its source's type.

    Lint E9101. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    if fifo == dead_letter_fifo:
        return None
    return (
        f"{queue} is a {KIND[fifo]} queue, its dead-letter queue is {KIND[dead_letter_fifo]}: both "
        f"must be of the same type. Make the dead-letter queue {KIND[fifo]}."
    )


Place = tuple[str | None, str | None]


def dead_letter_queue_place(
    source: object, here: Place, dead_letter_queue: object, there: Place
) -> str | None:
    """A dead-letter queue is in its source's account and Region.

    Lint E9109. Source:
    https://docs.aws.amazon.com/sdk-for-java/v1/developer-guide/examples-sqs-dead-letter-queues.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html

    Args:
        source: The queue, or whatever else dead-letters to it.
        here: Its account and Region; each None when only deployment knows.
        dead_letter_queue: Where its failed messages go.
        there: The same of that queue.
    """
    for word, own, other in zip(("account", "Region"), here, there, strict=True):
        if own and other and own != other:
            return (
                f"{source} is in {word} {own}, its dead-letter queue {dead_letter_queue} in {word} "
                f"{other}: a failed message cannot go there. Use a queue of {word} {own}."
            )
    return None


def no_dead_letter_queue(queue: object) -> str:
    """A consumed queue has a dead-letter queue.

    Lint W9102. Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    return (
        f"{queue} has no dead-letter queue: a message that always fails is deleted when its "
        "retention period ends. Give the queue a dead-letter queue. To retry for longer, raise the "
        f"maximum receive count, up to {SQS_MAX_RECEIVES:,}; in a FIFO queue the message blocks "
        "its group until then, so its order is kept for as long."
    )


def retention(name: str, seconds: float) -> str | None:
    """A queue keeps messages for 60 seconds to 14 days.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
    """
    if SQS_MIN_RETENTION <= seconds <= SQS_MAX_RETENTION:
        return None
    return (
        f"{name} is {period(seconds)}; it must be {period(SQS_MIN_RETENTION)} to "
        f"{period(SQS_MAX_RETENTION)}."
    )


def visibility_range(name: str, seconds: float) -> str | None:
    """A queue hides a message for 12 hours at most.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
    """
    if 0 <= seconds <= SQS_MAX_VISIBILITY:
        return None
    return f"{name} is {period(seconds)}; it must be 0 s to {period(SQS_MAX_VISIBILITY)}."


def dead_letter_retention(
    queue: object, kept: float, dead_letter_queue: object, kept_there: float, *, fifo: bool
) -> str | None:
    """A standard dead-letter queue keeps messages longer than its source.

    Lint W9103. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    if fifo or kept_there > kept:
        return None
    raised = f"Raise its retention period above {period(kept)}, or lower" * (
        kept < SQS_MAX_RETENTION
    )
    return (
        f"{dead_letter_queue} keeps messages for {period(kept_there)} and its source {queue} for "
        f"{period(kept)}: a dead-lettered message keeps its original enqueue time, so it expires "
        f"early. {raised or 'Lower'} the retention period of {queue}."
    )


def receives(
    queue: object, max_receive_count: float, least: float = SQS_LAMBDA_MIN_RECEIVES
) -> str | None:
    """A queue that Lambda or a pipe consumes dead-letters after 5 receives or more.

    Lint W9104. Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    if least <= max_receive_count <= SQS_MAX_RECEIVES:
        return None
    return (
        f"{queue} has a maximum receive count of {max_receive_count:g}; it must be "
        f"{least:g} to {SQS_MAX_RECEIVES}: polls that are throttled count as receives, so fewer "
        f"than {least:g} dead-letter good messages."
    )


def redrive_allowed(queue: object, dead_letter_queue: object, reason: str | None) -> str | None:
    """A dead-letter queue allows its source to use it.

    Lint E9105. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html

    Args:
        queue: The source.
        dead_letter_queue: Where its failed messages go.
        reason: What its redrive allow policy says against the source; None when it allows it.
    """
    if reason is None:
        return None
    return (
        f"{queue} dead-letters to {dead_letter_queue}, whose redrive allow policy {reason}: SQS "
        f"rejects that. Name {queue} in its source queues, or allow all."
    )


def expires_before_dead_lettering(
    queue: object, max_receive_count: float, visibility: float, kept: float
) -> str | None:
    """A queue keeps a message until its receives are used up.

    Lint W9106. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    needed = max_receive_count * visibility
    if needed < kept:
        return None
    return (
        f"{queue} keeps a message for {period(kept)}, but {max_receive_count:g} receives of "
        f"{period(visibility)} take {period(needed)}: a message that always fails is deleted "
        f"before it is dead-lettered. Raise the retention period above {period(needed)}, or lower "
        "the maximum receive count or the visibility timeout."
    )


def delay(name: str, seconds: float) -> str | None:
    """A queue delays its messages by 15 minutes at most.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
    """
    if 0 <= seconds <= SQS_MAX_DELAY:
        return None
    return (
        f"{name} is {period(seconds)}; it must be 0 s to {period(SQS_MAX_DELAY)}. For a longer "
        "delay, let EventBridge Scheduler send the message when it is due."
    )


def expires_while_delayed(queue: object, delayed: float, kept: float) -> str | None:
    """A queue keeps a message for longer than it delays it.

    Lint E9231. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
    """
    if delayed < kept:
        return None
    return (
        f"{queue} delays messages by {period(delayed)}, but keeps them for {period(kept)} only: "
        "each is deleted before anybody can receive it. Raise the retention period above "
        f"{period(delayed)}, or lower the delay."
    )


def message_delay(
    sender: object, queue: object, seconds: float | None, *, fifo: bool | None
) -> str | None:
    """A message has a delay of its own in a standard queue only, of 15 minutes at most.

    Lint E9232. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-timers.html

    Args:
        sender: What sends it.
        queue: Where to.
        seconds: The delay; None when that is not known.
        fifo: Whether the queue is FIFO; None when that is not known.
    """
    if fifo and seconds != 0:
        return (
            f"{sender} gives messages to the FIFO queue {queue} a delay of their own: SQS rejects "
            "DelaySeconds there. Delay the whole queue, or let EventBridge Scheduler send each "
            "message when it is due."
        )
    problem = None if seconds is None else delay("DelaySeconds", seconds)
    return f"{sender} to {queue}: {problem}" if problem else None


def backoff_beyond_visibility(name: str, longest: float, worked: float) -> str | None:
    """A message stays hidden for 12 hours at most since it was received.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html

    Args:
        name: Of the longest delay.
        longest: That delay, in seconds.
        worked: How long a consumer may have the message before it fails, in seconds.
    """
    most = SQS_MAX_VISIBILITY - worked
    if longest <= most:
        return None
    return (
        f"{name} is {period(longest)}, but a message may have been hidden for {period(worked)} "
        f"when it fails, and SQS hides it for {period(SQS_MAX_VISIBILITY)} at most since it was "
        f"received. Lower it to {period(most)} or less."
    )


def expires_between_retries(
    queue: object, max_receive_count: float, waits: float, worked: float, kept: float
) -> str | None:
    """A queue keeps a message until its last delayed retry has ended.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html

    Args:
        queue: The queue.
        max_receive_count: Receives before a message is dead-lettered.
        waits: The delay of the queue and those between the receives, in seconds.
        worked: How long each receive may hide a message before it fails, in seconds.
        kept: The retention period, in seconds.
    """
    needed = waits + max_receive_count * worked
    if needed < kept:
        return None
    return (
        f"{queue} keeps a message for {period(kept)}, but {max_receive_count:g} receives of "
        f"{period(worked)} and the delays between them, {period(waits)}, take {period(needed)}: a "
        "message that always fails is deleted before it is dead-lettered. Raise the retention "
        f"period above {period(needed)}, or lower the delays or the maximum receive count."
    )


def uses_up_receives(queue: object, batch: float, *, fifo: bool) -> str | None:
    """A FIFO queue with growing delays hands over one message at a time.

    SQS hands over several messages of a group together, and counts a receive of each, also of those
    that wait behind a failure. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
    """
    if not fifo or batch == 1:
        return None
    return (
        f"{queue} is a FIFO queue with batch_size={batch:g}: messages behind one that fails are "
        "received with it each time, so they use up their receives and are dead-lettered without "
        "an attempt. Set batch_size=1."
    )


def needed_visibility(
    timeout: float, window: float = 0, factor: float = SQS_LAMBDA_VISIBILITY_FACTOR
) -> float:
    """Return 6 x a function's timeout plus the batching window, in seconds.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    return factor * timeout + window


def visibility(
    queue: object,
    hidden: float,
    function: object,
    timeout: float,
    window: float = 0,
    factor: float = SQS_LAMBDA_VISIBILITY_FACTOR,
) -> str | None:
    """A message stays hidden while its consumer, throttled or not, may still work on it.

    Lint E9111, W9112. Source:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    needed = needed_visibility(timeout, window, factor)
    if hidden >= needed:
        return None
    return (
        f"{queue} hides a message for {period(hidden)}, but {function} (timeout "
        f"{period(timeout)}, batching window {period(window)}) needs {period(needed)}: "
        f"{factor:g} x the timeout plus the window, or a message is delivered "
        "again while it is still being processed. Raise the visibility timeout to "
        f"{period(needed)} or more, or lower the function's timeout."
    )


def asked_in_vain(queue: object, delayed: float, timeout: float) -> str | None:
    """A request is delivered while its requester waits for the answer.

    Lint E9233. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html

    Args:
        queue: With the requests.
        delayed: Before it delivers one, in seconds.
        timeout: How long its requester waits, in seconds.
    """
    if delayed < timeout:
        return None
    return (
        f"{queue} delays a request by {period(delayed)}, but its requester waits for "
        f"{period(timeout)}: none is answered in time. Lower the delay, or raise the timeout above "
        f"{period(delayed)}."
    )


def retried_too_late(
    queue: object, hidden: float, timeout: float, delayed: float = 0, window: float = 0
) -> str | None:
    """A request whose responder crashed is delivered again while its requester still waits.

    Lint W9234. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html

    Args:
        queue: With the requests.
        hidden: How long a request stays hidden once it is received, in seconds.
        timeout: How long its requester waits, in seconds.
        delayed: Before it is delivered at all, in seconds.
        window: In which Lambda gathers a batch, in seconds.
    """
    again = delayed + hidden + window
    if again < timeout:
        return None
    rest = [f"{period(delayed)} of delay"] * bool(delayed)
    rest += [f"{period(window)} of batching window"] * bool(window)
    more = f" (with {' and '.join(rest)}, {period(again)})" if rest else ""
    return (
        f"{queue} hides a request for {period(hidden)}{more}, but its requester waits for "
        f"{period(timeout)}: when a responder crashes, nobody waits for the second attempt. Raise "
        f"the timeout of the requester above {period(again)}, or lower the visibility timeout, and "
        "the timeout of the responder's function with it."
    )


def expires_while_awaited(queue: object, kept: float, timeout: float) -> str | None:
    """A request is kept for as long as its requester waits.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

    Args:
        queue: With the requests.
        kept: Its retention period, in seconds.
        timeout: How long a requester waits, in seconds.
    """
    if timeout <= kept:
        return None
    return (
        f"{queue} keeps a request for {period(kept)}, but its requester waits for "
        f"{period(timeout)}: in a backlog, requests are deleted that somebody waits for. Raise the "
        f"retention period to {period(timeout)} or more, or lower the timeout."
    )


def alarm_after_retention(
    queue: object, age: float, kept: float, name: object = "max_age"
) -> str | None:
    """An alarm on old messages goes off before they are gone.

    Lint W9188. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
    """
    if age < kept:
        return None
    return (
        f"{name} is {period(age)}, but {queue} keeps messages for {period(kept)}: they would be "
        "gone before the alarm goes off. Lower it, or raise the retention period "
        f"({period(SQS_MAX_RETENTION)} at most)."
    )


def warning_before_expiry(queue: object, left: float, early: float) -> str | None:
    """A warning of dead letters that expire comes after they are there.

    A standard dead-letter queue counts from the first send, so a message that waited in its source
    until the end has the rest of the retention period left.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html

    Args:
        queue: Whose dead letters.
        left: How long one is kept at least after it was dead-lettered, in seconds.
        early: How long before that the warning comes.
    """
    if early < left:
        return None
    return (
        f"warning is {period(early)}, but a dead letter of {queue} may be deleted {period(left)} "
        "after it was dead-lettered: it would warn of each at once. Lower it, raise "
        "dead_letter_retention_period, or lower retention_period."
    )


def alarm_after_dead_letters(
    queue: object, age: float, left: float, name: object = "warning"
) -> str | None:
    """An alarm on old dead letters goes off before they are gone.

    The metric counts from the move to the dead-letter queue, and a standard queue's retention from
    the first send.

    Lint W9222. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html

    Args:
        queue: Whose dead letters.
        age: Seconds after which the alarm goes off.
        left: How long one is kept at least after it was dead-lettered, in seconds.
        name: What sets the age.
    """
    if age < left:
        return None
    return (
        f"{name} has the alarm go off {period(age)} after a message was dead-lettered, but a dead "
        f"letter of {queue} may be deleted after {period(left)}, as its retention period counts "
        "from the first send. Let it go off earlier, raise the retention period of the dead-letter "
        "queue, or lower that of its source."
    )


def fifo_message(
    sender: object,
    queue: object,
    *,
    group: bool,
    deduplication: bool,
    by_content: bool | None,
    may_give_id: bool = True,
    fix: str | None = None,
) -> str | None:
    """A message to a FIFO queue has a group and a deduplication id.

    Lint E9138, E9174. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html

    Args:
        sender: What sends it.
        queue: The FIFO queue.
        group: Whether it gives a message group.
        deduplication: Whether it gives a deduplication id.
        by_content: Whether the queue deduplicates by content; None when that is not known.
        may_give_id: Whether such a sender has a setting for the deduplication id.
        fix: What to do. Default: what SQS calls it.
    """
    needs = {} if group else {"MessageGroupId": "give MessageGroupId"}
    if not deduplication and by_content is False:
        give = "give MessageDeduplicationId, or " if may_give_id else ""
        needs["MessageDeduplicationId"] = f"{give}set ContentBasedDeduplication on the queue"
    if not needs:
        return None
    asked = "; ".join(needs.values())
    return (
        f"{sender} sends to the FIFO queue {queue} without {' and '.join(needs)}: SQS rejects "
        f"every message. {fix or asked[0].upper() + asked[1:]}."
    )
