"""What the embedded AWS is known not to execute, as far as the patterns meet it.

A scenario asks ``deployment.executes("...")`` before it expects such a thing to happen, and says
``not proven here`` otherwise.
"""

GAPS = {
    "api-gateway-access-logs": "A stage's access log settings are ignored: no line is written.",
    "api-gateway-request-validation": "A method's request validator is ignored: "
    "a body that breaks the model reaches the integration.",
    "api-gateway-step-functions": "An API's calls of Step Functions are answered with 504.",
    "cdk-auto-delete-objects": "CDK's function that empties a bucket on deletion does not start.",
    "firehose-buffering": "Firehose writes one object a record at once, whatever its buffers say.",
    "firehose-compression": "Firehose writes plain text where it should compress.",
    "firehose-de-aggregation": "Firehose hands an aggregated record to the transform as it is.",
    "firehose-failed-records": "What a transform fails is dropped; what a failing transform has "
    "not seen is delivered.",
    "firehose-metrics-and-alarms": "Kinesis, Firehose and S3 emit no CloudWatch metrics, so alarms "
    "on them never change.",
    "firehose-source-backup": "Source records are not backed up.",
    "kinesis-throttling": "A shard takes any number of records, so no call fails in part.",
    "lambda-dead-letter-queue": "A function's dead-letter queue in a template is ignored.",
    "lambda-dead-letters-beside-destination": "A function with a failure destination sends nothing "
    "to its dead-letter queue.",
    "lambda-event-age": "No event grows too old: its age is looked at before a retry only.",
    "lambda-on-success": "Records of successful asynchronous invocations are not sent.",
    "lambda-payload-checks": "An invocation takes any payload: not JSON, or larger than 1 MB.",
    "lambda-reserved-concurrency": "A function's reserved concurrency in a template is ignored.",
    "lambda-retry-settings": "A retry of an asynchronous invocation runs with the settings of its "
    "first try.",
    "service-roles": "What a role allows is not looked at when a service acts under it (API "
    "Gateway, Step Functions, Firehose, a mapping, a destination); a function's own calls need its "
    "role.",
    "sns-archive-and-replay": "A topic's archive and a subscription's replay are ignored.",
    "sns-fifo-topic": "A FIFO topic of a template is created as a standard topic.",
    "sns-message-group-deduplication": "A deduplication id counts in the whole topic, not in "
    "its message group, whatever FifoThroughputScope says.",
    "sns-metrics-and-alarms": "SNS emits no CloudWatch metrics, so alarms on them never change.",
    "sns-subscription-dead-letters": "What SNS cannot deliver is dropped, not sent to the "
    "subscription's dead-letter queue.",
    "sqs-eventual-consistency": "A queue's counts are exact, and what it holds can be "
    "received at once.",
    "sqs-metrics-and-alarms": "SQS emits no CloudWatch metrics, so alarms on them never change.",
    "sqs-redrive-task": "StartMessageMoveTask is refused with InvalidAction.",
    "step-functions-heartbeat": "A task that gives no sign of life within HeartbeatSeconds is not "
    "failed; only TimeoutSeconds counts.",
    "step-functions-metrics-and-alarms": "Step Functions emits no CloudWatch metrics, so alarms on "
    "them never change.",
}

# Those that ``shims.py`` closes on the embedded AWS; another emulator is taken to have them all.
CLOSED_BY_SHIMS = {
    "api-gateway-request-validation",
    "cdk-auto-delete-objects",
    "firehose-failed-records",
    "lambda-dead-letter-queue",
    "lambda-reserved-concurrency",
    "lambda-retry-settings",
    "sns-fifo-topic",
}
EMBEDDED = {name: gap for name, gap in GAPS.items() if name not in CLOSED_BY_SHIMS}
