"""SQS."""

GAPS = {
    "sqs-eventual-consistency": "A queue's counts are exact, and its messages can be received at "
    "once.",
    "sqs-metrics-and-alarms": "SQS emits no CloudWatch metrics, so alarms on them never change.",
    "sqs-redrive-task": "StartMessageMoveTask is rejected with InvalidAction.",
}
