"""What LocalStack's embedded AWS needs to run our stacks, and what it does not execute.

``launch.py`` loads this folder on LocalStack's own Python, which lacks the rest of this package; a
target on the project's, which lacks LocalStack. So a file imports its neighbours here only, and
LocalStack by name, inside functions.

``GAPS`` is the table of this engine beside ``sandbox.shims``: name -> sentence.
"""

GAPS = {
    "api-gateway-access-logs": "A stage's access log settings are ignored: no line is written.",
    "custom-resources": "A custom resource fails the deployment, but CDK's that empties buckets.",
    "dynamodb-streams": "A table's stream stays empty: moto keeps the tables.",
    "eventbridge-dead-letters": "What a rule's target does not take is not sent to the rule's "
    "dead-letter queue.",
    "firehose-buffering": "Firehose writes one object a record at once, whatever its buffers say.",
    "firehose-compression": "Firehose writes plain text where it should compress.",
    "firehose-de-aggregation": "Firehose hands an aggregated record to the transform as it is.",
    "firehose-failed-records": "Records that a transform fails are dropped.",
    "firehose-metrics-and-alarms": "Kinesis, Firehose and S3 emit no CloudWatch metrics, so alarms "
    "on them never change.",
    "firehose-source-backup": "Source records are not backed up.",
    "http-apis": "API Gateway has REST APIs only: neither HTTP nor WebSocket APIs.",
    "kinesis-throttling": "A shard takes any number of records, so no call fails in part.",
    "lambda-dead-letters-beside-destination": "A function with a failure destination sends nothing "
    "to its dead-letter queue.",
    "policies": "No policy is enforced: neither a function's own calls, nor a queue's or bucket's "
    "policy, nor an API's IAM authorization.",
    "service-roles": "A role's permissions are not checked when a service acts under it.",
    "sns-archive-and-replay": "A topic's archive and a subscription's replay are ignored.",
    "sns-metrics-and-alarms": "SNS emits no CloudWatch metrics, so alarms on them never change.",
    "sqs-eventual-consistency": "A queue's counts are exact, and its messages can be received at "
    "once.",
    "step-functions-metrics-and-alarms": "Step Functions emits no CloudWatch metrics, so alarms on "
    "them never change.",
    "step-functions-token-permissions": "An answer to a task is not authorized.",
}
