"""SNS: FIFO topics in templates, functions, delivery streams, and endpoints that fail."""

from __future__ import annotations

import base64
import json
from contextvars import ContextVar
from typing import Any

from ._forward import afterwards, around, is_true, ministack, succeeded

GAPS = {
    "sns-archive-and-replay": "A topic's archive and a subscription's replay are ignored.",
    "sns-asynchronous-invocation": "A function that a topic invokes is run once: it is neither "
    "retried, nor is its failure recorded.",
    "sns-delivery-policy": "A delivery to an endpoint is attempted once, whatever the delivery "
    "policy says.",
    "sns-endpoint-dead-letters": "Messages that an endpoint does not take are dropped.",
    "sns-endpoint-in-template": "An endpoint of a template is not asked to confirm.",
    "sns-firehose": "A subscription of a delivery stream gets nothing.",
    "sns-fifo-topic": "A FIFO topic in a template is created as a standard topic.",
    "sns-maximum-message-size": "A topic takes 256 KiB, whatever its maximum message size is.",
    "sns-message-group-deduplication": "A deduplication id counts in the whole topic, not in "
    "its message group, whatever FifoThroughputScope says.",
    "sns-metrics-and-alarms": "SNS emits no CloudWatch metrics, so alarms on them never change.",
    "sns-subscription-dead-letters": "Messages that SNS cannot deliver are dropped, not sent to "
    "the subscription's dead-letter queue.",
}


def fifo_topic() -> None:
    """Forward what makes a topic a FIFO topic to SNS's own SetTopicAttributes."""
    sns = ministack("services.sns")

    @afterwards("AWS::SNS::Topic")
    def set_attributes(arn: str, properties: dict[str, Any], _old: dict[str, Any]) -> None:
        if is_true(properties.get("FifoTopic")):
            by_content = str(is_true(properties.get("ContentBasedDeduplication"))).lower()
            for name, value in (("FifoTopic", "true"), ("ContentBasedDeduplication", by_content)):
                sns._set_topic_attributes(
                    {"TopicArn": arn, "AttributeName": name, "AttributeValue": value}
                )


def asynchronous_invocation() -> None:
    """Forward an event to Lambda's own asynchronous invocation, as S3's notifications are."""
    sns, functions = ministack("services.sns"), ministack("services.lambda_svc")
    of_topic = ContextVar("of_topic", default=False)

    @around(sns, "_deliver_to_lambda")
    def deliver(original: Any, *args: Any) -> None:
        of_topic.set(True)  # each delivery has a thread, and so a context, of its own
        original(*args)

    @around(functions, "_execute_function_with_config_scope")
    def execute(original: Any, record: Any, event: Any, *args: Any, **named: Any) -> Any:
        if of_topic.get():
            of_topic.set(False)
            return functions.invoke_async_with_retry(record, event)
        return original(record, event, *args, **named)


def firehose() -> None:
    """Forward what a delivery stream subscribes to, to Firehose's own PutRecord."""
    sns, streams = ministack("services.sns"), ministack("services.firehose")

    @around(sns, "_fanout")
    def fan_out(
        original: Any, topic_arn: str, message_id: str, message: str, subject: str,
        structure: str = "", attributes: Any = None, **named: Any,
    ) -> None:  # fmt: skip
        original(topic_arn, message_id, message, subject, structure, attributes, **named)
        topic = sns._topic_by_arn_any_scope(topic_arn) or {"subscriptions": []}
        for one in topic["subscriptions"]:
            text = sns._resolve_message_for_protocol(message, structure, "firehose")
            if one["protocol"] != "firehose" or not sns._matches_filter_policy(
                one, attributes or {}, text
            ):
                continue
            raw = is_true(one["attributes"].get("RawMessageDelivery"))
            of = (topic_arn, message_id, text, subject, attributes or {}, raw)
            data = base64.b64encode(sns._build_envelope(*of).encode()).decode()
            name = one["endpoint"].rpartition("/")[2]
            request = {"DeliveryStreamName": name, "Record": {"Data": data}}
            succeeded("Firehose PutRecord", streams._put_record(request))


def endpoint_dead_letters() -> None:
    """Forward what an endpoint did not take to SNS's own delivery into the dead-letter queue."""
    sns, evaluator = ministack("services.sns"), ministack("core.iam_evaluator")

    @around(sns, "_http_post_sync")
    def post(original: Any, endpoint: str, payload: str, kind: str) -> Any:
        try:
            return original(endpoint, payload, kind)
        except Exception:
            for topic in [*sns._topics.all_values()] if kind == "Notification" else ():
                for one in topic["subscriptions"]:
                    policy = json.loads(one["attributes"].get("RedrivePolicy") or "{}")
                    if one["endpoint"] == endpoint and policy:
                        queue = policy["deadLetterTargetArn"]
                        evaluator.pin_request_origin("127.0.0.1", True)  # SNS itself uses TLS
                        sns._deliver_to_sqs(queue, payload, True, payload, topic_arn=topic["arn"])
            raise


SHIMS = {
    "sns-asynchronous-invocation": asynchronous_invocation,
    "sns-endpoint-dead-letters": endpoint_dead_letters,
    "sns-fifo-topic": fifo_topic,
    "sns-firehose": firehose,
}
