"""What LocalStack's embedded AWS needs to run our stacks, and what it does not execute.

``launch.py`` loads this folder on LocalStack's own Python, which lacks the rest of this package; a
target on the project's, which lacks LocalStack. So a file imports its neighbours here only, and
LocalStack by name, inside functions.

``GAPS`` is the table of this engine beside ``sandbox.shims``: name -> sentence. What nobody has
tried here is a gap, too.
"""

GAPS = {
    "api-gateway-mapping-context": "Not tried: $context and $input.params() in all their parts.",
    "api-gateway-access-logs": "A stage's access log settings are ignored: no line is written.",
    "alarms-on-percentiles": "An alarm on a percentile is never evaluated.",
    "custom-resources": "A custom resource fails the deployment, but CDK's that empties buckets.",
    "dynamodb-streams": "A table's stream has one shard, which keeps all its changes: it neither "
    "splits nor forgets.",
    "dynamodb-time-to-live": "No item is deleted because its time is over.",
    "eventbridge-dead-letters": "What a rule's target does not take is not sent to the rule's "
    "dead-letter queue.",
    "firehose-from-a-stream": "Firehose does not read a stream, for which it would download Java; "
    "Glue and Athena are unknown types.",
    "firehose-buffering": "Firehose writes one object a record at once, whatever its buffers say.",
    "firehose-compression": "Firehose writes plain text where it should compress.",
    "firehose-de-aggregation": "Firehose hands an aggregated record to the transform as it is.",
    "firehose-failed-records": "Records that a transform fails are dropped.",
    "firehose-metrics-and-alarms": "Kinesis, Firehose and S3 emit no CloudWatch metrics, so alarms "
    "on them never change.",
    "firehose-source-backup": "Source records are not backed up.",
    "http-apis": "API Gateway has REST APIs only: neither HTTP nor WebSocket APIs.",
    "kinesis-resharding": "A split or a merge moves records to the new shards, under new numbers, "
    "and a mapping never learns of these shards.",
    "kinesis-throttling": "A shard takes any number of records, so no call fails in part.",
    "lambda-event-age": "No event grows too old: its age is checked before a retry only.",
    "lambda-function-urls": "A function's URL has a host name that does not resolve.",
    "lambda-payload-checks": "An invocation takes any payload: not JSON, or larger than 1 MB.",
    "lambda-reserved-concurrency": "A function's reserved concurrency in a template is ignored.",
    "lambda-stream-batches": "Of a stream's mapping bisecting, windows and parallel batches are "
    "ignored; enhanced fan-out is read by GetRecords.",
    "policies": "No policy is enforced, neither a role's nor a resource's: a call needs keys of "
    "the run, and so does an API's method with IAM authorization.",
    "service-roles": "A role's permissions are not checked when a service acts under it.",
    "sns-archive-and-replay": "A topic's archive and a subscription's replay are ignored.",
    "sns-delivery-policy": "A delivery to an endpoint is attempted once, whatever the delivery "
    "policy says.",
    "sns-firehose": "Not tried: a subscription of a delivery stream.",
    "sns-message-group-deduplication": "Not tried: deduplication within a message group.",
    "sns-metrics-and-alarms": "SNS emits no CloudWatch metrics, so alarms on them never change.",
    "sqs-eventual-consistency": "A queue's counts are exact, and its messages can be received at "
    "once.",
    "step-functions-metrics-and-alarms": "Step Functions emits no CloudWatch metrics, so alarms on "
    "them never change.",
    "step-functions-token-permissions": "An answer to a task is not authorized.",
}
