"""Every limit, quota and documented factor, once: value, unit, source, date. Imports nothing.

The constructs, the rule pack and the pages take their numbers from here.
"""

_AWS = "https://docs.aws.amazon.com/"
_SQS = _AWS + "AWSSimpleQueueService/latest/SQSDeveloperGuide/"
_LAMBDA = _AWS + "lambda/latest/dg/"
_FIREHOSE = _AWS + "firehose/latest/"
_STATES = _AWS + "step-functions/latest/dg/"


class Limit(int):
    """A documented number that counts as itself in every expression.

    Attributes:
        unit: What it counts: ``s``, ``bytes``, ``messages``, ``x`` for a factor.
        source: The AWS page that says so.
        checked: When that page was last read, as ``YYYY-MM-DD``.
    """

    unit: str
    source: str
    checked: str

    def __new__(cls, value: int, unit: str, source: str, checked: str = "2026-11-20") -> "Limit":
        """Make one; ``checked`` defaults to the day on which all of them were read."""
        limit = super().__new__(cls, value)
        limit.unit, limit.source, limit.checked = unit, source, checked
        return limit


# Amazon SQS

SQS_MESSAGE_BYTES = Limit(1024**2, "bytes", _SQS + "quotas-messages.html")
SQS_MESSAGE_ATTRIBUTES = Limit(10, "attributes", _SQS + "quotas-messages.html")
SQS_ATTRIBUTE_NAME = Limit(256, "characters", _SQS + "sqs-message-metadata.html", "2026-11-26")
SQS_BATCH_ENTRIES = Limit(10, "messages", _SQS + "quotas-messages.html")
SQS_MIN_RETENTION = Limit(60, "s", _SQS + "quotas-messages.html")
SQS_DEFAULT_RETENTION = Limit(345_600, "s", _SQS + "quotas-messages.html")
SQS_MAX_RETENTION = Limit(1_209_600, "s", _SQS + "quotas-messages.html")
SQS_DEFAULT_VISIBILITY = Limit(30, "s", _SQS + "sqs-visibility-timeout.html")
SQS_MAX_VISIBILITY = Limit(43_200, "s", _SQS + "sqs-visibility-timeout.html")
SQS_MAX_DELAY = Limit(900, "s", _SQS + "sqs-delay-queues.html", "2026-11-27")
SQS_LONG_POLL = Limit(20, "s", _SQS + "sqs-short-and-long-polling.html")
SQS_IN_FLIGHT = Limit(120_000, "messages", _SQS + "quotas-fifo.html", "2026-11-26")
SQS_LIST_QUEUES = Limit(
    1_000, "queues", _AWS + "AWSSimpleQueueService/latest/APIReference/API_ListQueues.html",
    "2026-11-27",
)  # fmt: skip
SQS_QUEUE_NAME = Limit(80, "characters", _SQS + "quotas-queues.html", "2026-11-27")
SQS_MOVES = Limit(
    500,
    "messages/s",
    _AWS + "AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html",
    "2026-11-27",
)
SQS_MAX_RECEIVES = Limit(1_000, "receives", _SQS + "sqs-dead-letter-queues.html")
# Of the extended client libraries; a Java array, which they fill, has 2 GiB.
EXTENDED_CLIENT_GB = Limit(2, "GB", _SQS + "sqs-managing-large-messages.html", "2026-11-27")

# A FIFO queue's default mode: calls of each action, and messages in batches.
_SQS_THROTTLING = _SQS + "troubleshooting-fifo-throttling-issues.html"
SQS_FIFO_FAST_CALLS = Limit(70_000, "calls/s", _SQS + "quotas-messages.html")
SQS_FIFO_CALLS = Limit(300, "calls/s", _SQS_THROTTLING, "2026-11-26")
SQS_FIFO_MESSAGES = Limit(3_000, "messages/s", _SQS_THROTTLING, "2026-11-26")

# SQS → Lambda

# A throttled poll counts as a receive.
SQS_LAMBDA_MIN_RECEIVES = Limit(5, "receives", _LAMBDA + "services-sqs-configure.html")
SQS_LAMBDA_VISIBILITY_FACTOR = Limit(6, "x", _LAMBDA + "services-sqs-configure.html")
SQS_LAMBDA_DEFAULT_BATCH = Limit(
    10, "messages", _AWS + "lambda/latest/api/API_CreateEventSourceMapping.html"
)
SQS_LAMBDA_BATCH = Limit(10, "messages", _LAMBDA + "services-sqs-configure.html")
SQS_LAMBDA_BATCH_WITH_WINDOW = Limit(10_000, "messages", _LAMBDA + "services-sqs-configure.html")
LAMBDA_MIN_WINDOW = Limit(1, "s", _LAMBDA + "services-sqs-configure.html")
LAMBDA_MAX_WINDOW = Limit(300, "s", _LAMBDA + "services-sqs-configure.html")
SQS_LAMBDA_MIN_CONCURRENCY = Limit(2, "calls", _LAMBDA + "services-sqs-scaling.html")
SQS_LAMBDA_MAX_CONCURRENCY = Limit(1_000, "calls", _LAMBDA + "services-sqs-scaling.html")
SQS_LAMBDA_MIN_POLLERS = Limit(2, "pollers", _LAMBDA + "services-sqs-scaling.html")
SQS_LAMBDA_MAX_MIN_POLLERS = Limit(200, "pollers", _LAMBDA + "services-sqs-scaling.html")
SQS_LAMBDA_MAX_POLLERS = Limit(10_000, "pollers", _LAMBDA + "services-sqs-scaling.html")
SQS_LAMBDA_DEFAULT_MAX_POLLERS = Limit(200, "pollers", _LAMBDA + "services-sqs-scaling.html")
SQS_LAMBDA_CALLS_A_POLLER = Limit(10, "calls", _LAMBDA + "services-sqs-scaling.html")

# Amazon API Gateway, for all APIs of an account and Region

_API = _AWS + "apigateway/latest/developerguide/limits.html"
API_REQUESTS = Limit(10_000, "requests/s", _API, "2026-11-26")
API_BURST = Limit(5_000, "requests", _API, "2026-11-26")
API_REQUESTS_IN_NEWER_REGIONS = Limit(2_500, "requests/s", _API, "2026-11-26")
API_BURST_IN_NEWER_REGIONS = Limit(1_250, "requests", _API, "2026-11-26")
API_PAYLOAD = Limit(10, "MB", _API, "2026-11-26")
API_TIMEOUT = Limit(29, "s", _API, "2026-11-26")  # by default
# An HTTP API's. Of a REST API's name AWS documents no length.
API_NAME = Limit(
    128, "characters", _AWS + "apigatewayv2/latest/api-reference/apis.html", "2026-11-27"
)

# AWS Lambda

_KINESIS_LAMBDA = _LAMBDA + "services-kinesis-parameters.html"
STREAM_LAMBDA_DEFAULT_BATCH = Limit(100, "records", _KINESIS_LAMBDA, "2026-11-26")
_LAMBDA_FILTERS = _AWS + "lambda/latest/dg/invocation-eventfiltering.html"
LAMBDA_FILTERS = Limit(5, "filters of a mapping", _LAMBDA_FILTERS, "2026-11-27")
LAMBDA_MAX_FILTERS = Limit(10, "filters of a mapping", _LAMBDA_FILTERS, "2026-11-27")
STREAM_LAMBDA_BATCH = Limit(10_000, "records", _KINESIS_LAMBDA, "2026-11-26")
STREAM_LAMBDA_PARALLEL = Limit(10, "batches a shard", _KINESIS_LAMBDA, "2026-11-26")
STREAM_LAMBDA_MAX_RETRIES = Limit(10_000, "retries", _KINESIS_LAMBDA, "2026-11-26")
STREAM_LAMBDA_MIN_AGE = Limit(
    60, "s", _AWS + "lambda/latest/api/API_CreateEventSourceMapping.html", "2026-11-26"
)
STREAM_LAMBDA_MAX_AGE = Limit(604_800, "s", _KINESIS_LAMBDA, "2026-11-26")
STREAM_LAMBDA_MAX_WINDOW = Limit(900, "s", _KINESIS_LAMBDA, "2026-11-26")
STREAM_LAMBDA_STATE = Limit(1, "MB", _LAMBDA + "services-kinesis-windows.html", "2026-11-26")
LAMBDA_DEFAULT_TIMEOUT = Limit(3, "s", _LAMBDA + "configuration-timeout.html")
LAMBDA_MAX_TIMEOUT = Limit(900, "s", _LAMBDA + "configuration-timeout.html")
LAMBDA_PAYLOAD_BYTES = Limit(6 * 1024**2, "bytes", _LAMBDA + "gettingstarted-limits.html")
LAMBDA_ASYNC_EVENT = Limit(1, "MB", _LAMBDA + "gettingstarted-limits.html", "2026-11-26")
LAMBDA_ASYNC_RETRIES = Limit(2, "retries", _LAMBDA + "invocation-async-configuring.html")
LAMBDA_ASYNC_MIN_AGE = Limit(60, "s", _LAMBDA + "invocation-async-configuring.html")
LAMBDA_ASYNC_MAX_AGE = Limit(21_600, "s", _LAMBDA + "invocation-async-configuring.html")
LAMBDA_ASYNC_FIRST_WAIT = Limit(60, "s", _LAMBDA + "invocation-async-error-handling.html")
LAMBDA_ASYNC_SECOND_WAIT = Limit(120, "s", _LAMBDA + "invocation-async-error-handling.html")

# Amazon SNS

SNS_MESSAGE_BYTES = Limit(262_144, "bytes", _AWS + "general/latest/gr/sns.html")
SNS_BATCH_ENTRIES = Limit(10, "messages", _AWS + "sns/latest/dg/sns-batch-api-actions.html")
_SNS_RETRIES = _AWS + "sns/latest/dg/sns-message-delivery-retries.html"
SNS_RETRIES_TO_SQS = Limit(23, "days", _SNS_RETRIES)
# To HTTPS endpoints: retries of a message, and their time in all.
SNS_HTTP_RETRIES = Limit(100, "retries", _SNS_RETRIES, "2026-11-27")
SNS_HTTP_RETRY_TIME = Limit(3600, "s", _SNS_RETRIES, "2026-11-27")
SNS_HTTP_TIMEOUT = Limit(
    15, "s", _AWS + "sns/latest/dg/SendMessageToHttp.prepare.html", "2026-11-27"
)
SNS_HTTP_DEFAULT_RETRIES = Limit(3, "retries", _SNS_RETRIES, "2026-11-27")
SNS_HTTP_DEFAULT_DELAY = Limit(20, "s", _SNS_RETRIES, "2026-11-27")  # before each of them
SNS_CONFIRMATION = Limit(2, "days", _AWS + "sns/latest/api/API_Subscribe.html", "2026-11-27")
_SNS_CREATE = _AWS + "sns/latest/api/API_CreateTopic.html"
SNS_TOPICS = Limit(100_000, "standard topics", _SNS_CREATE, "2026-11-26")
SNS_FIFO_TOPICS = Limit(1_000, "FIFO topics", _SNS_CREATE, "2026-11-26")
# By the topic's MaximumMessageSize; then it has few subscriptions.
SNS_MAX_MESSAGE_BYTES = Limit(1024**2, "bytes", _SNS_CREATE, "2026-11-26")
SNS_MIN_MESSAGE_BYTES = Limit(1024, "bytes", _SNS_CREATE, "2026-11-27")
SNS_LARGE_SUBSCRIPTIONS = Limit(100, "subscriptions", _SNS_CREATE, "2026-11-26")
# With FifoThroughputScope TOPIC.
SNS_FIFO_MESSAGES = Limit(3_000, "messages/s", _AWS + "general/latest/gr/sns.html", "2026-11-26")
SNS_DEDUPLICATION = Limit(300, "s", _AWS + "sns/latest/dg/fifo-message-dedup.html", "2026-11-26")
SNS_RAW_ATTRIBUTES = Limit(
    10, "attributes", _AWS + "sns/latest/dg/sns-large-payload-raw-message-delivery.html"
)
_SNS_FILTER = _AWS + "sns/latest/dg/subscription-filter-policy-constraints.html"
SNS_FILTER_KEYS = Limit(5, "keys", _SNS_FILTER, "2026-11-26")
SNS_FILTER_COMBINATIONS = Limit(150, "combinations", _SNS_FILTER, "2026-11-26")
SNS_FILTERS = Limit(200, "filter policies of a topic", _SNS_FILTER, "2026-11-27")
SNS_FILTER_DELAY = Limit(
    900, "s", _AWS + "sns/latest/dg/sns-subscription-filter-policies.html", "2026-11-26"
)
SNS_DATA_PROTECTION_LENGTH = Limit(30_720, "characters", _SNS_CREATE, "2026-11-27")
SNS_MAX_ARCHIVE = Limit(
    365, "days", _AWS + "sns/latest/dg/message-archiving-and-replay-topic-owner.html"
)

# Amazon Kinesis Data Streams and Amazon Data Firehose

_RETENTION = _AWS + "streams/latest/dev/kinesis-extended-retention.html"
KINESIS_MIN_RETENTION = Limit(24 * 3600, "s", _RETENTION)
KINESIS_MAX_RETENTION = Limit(365 * 24 * 3600, "s", _RETENTION)
_SHARD = _AWS + "streams/latest/dev/service-sizes-and-limits.html"
KINESIS_RECORD_BYTES = Limit(1024**2, "bytes", _SHARD)
KINESIS_LARGE_RECORD_BYTES = Limit(10 * 1024**2, "bytes", _SHARD)
KINESIS_SHARD_WRITE_BYTES = Limit(1024**2, "bytes a second", _SHARD)
KINESIS_ON_DEMAND_BYTES = Limit(4 * 1024**2, "bytes a second", _SHARD)
KINESIS_SHARD_RECORDS = Limit(1_000, "records/s", _SHARD)
_FAN_OUT = _AWS + "streams/latest/dev/enhanced-consumers.html"
KINESIS_FAST_READERS = Limit(20, "consumers", _FAN_OUT, "2026-11-26")
KINESIS_FAST_READERS_ADVANTAGE = Limit(50, "consumers", _FAN_OUT, "2026-11-26")
KINESIS_SHARD_READS = Limit(5, "calls a second", _SHARD)
KINESIS_SHARD_READ_BYTES = Limit(2 * 1024**2, "bytes a second", _SHARD)
KINESIS_BATCH_RECORDS = Limit(
    500, "records", _AWS + "kinesis/latest/APIReference/API_PutRecords.html"
)
KINESIS_PARTITION_KEY = Limit(
    256, "characters", _AWS + "kinesis/latest/APIReference/API_PutRecordsRequestEntry.html"
)
FIREHOSE_DIRECT_PUT_RETENTION = Limit(24 * 3600, "s", _FIREHOSE + "dev/limits.html", "2026-11-26")
FIREHOSE_PARTITIONS = Limit(500, "folders", _FIREHOSE + "dev/limits.html", "2026-11-26")
FIREHOSE_RECORD_BYTES = Limit(1000 * 1024, "bytes", _FIREHOSE + "dev/limits.html")
# Lambda takes and returns 6 MB, with every record in base64.
FIREHOSE_BATCH_RECORDS = Limit(500, "records", _FIREHOSE + "APIReference/API_PutRecordBatch.html")
FIREHOSE_BATCH_BYTES = Limit(
    4 * 1024**2, "bytes", _FIREHOSE + "APIReference/API_PutRecordBatch.html"
)
FIREHOSE_MIN_TRANSFORM_BATCH = Limit(209_715, "bytes", _FIREHOSE + "dev/data-transformation.html")
FIREHOSE_MAX_TRANSFORM_BATCH = Limit(
    3 * 1024**2, "bytes", _FIREHOSE + "dev/data-transformation.html"
)
FIREHOSE_MAX_TRANSFORM_TIMEOUT = Limit(300, "s", _FIREHOSE + "dev/data-transformation.html")
FIREHOSE_MAX_RETRIES = Limit(300, "retries", _FIREHOSE + "APIReference/API_ProcessorParameter.html")
FIREHOSE_MIN_BUFFER = Limit(1, "MiB", _FIREHOSE + "APIReference/API_BufferingHints.html")
FIREHOSE_MIN_LARGE_BUFFER = Limit(64, "MiB", _FIREHOSE + "dev/enable-record-format-conversion.html")
FIREHOSE_MAX_BUFFER = Limit(128, "MiB", _FIREHOSE + "APIReference/API_BufferingHints.html")
FIREHOSE_MAX_INTERVAL = Limit(900, "s", _FIREHOSE + "APIReference/API_BufferingHints.html")
FIREHOSE_FILE_EXTENSION = Limit(
    128,
    "characters",
    _FIREHOSE + "APIReference/API_ExtendedS3DestinationConfiguration.html",
    "2026-11-27",
)
FIREHOSE_MIN_PARTITIONING_INTERVAL = Limit(
    60, "s", _FIREHOSE + "dev/dynamic-partitioning-enable.html"
)
CLOUDWATCH_ALARM_ACTIONS = Limit(
    5,
    "actions",
    _AWS + "AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
    "2026-11-26",
)
# How far back an alarm looks whose period is shorter than an hour.
CLOUDWATCH_ALARM_WINDOW = Limit(
    86_400,
    "s",
    _AWS + "AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
    "2026-11-27",
)
# An id of a bucket's request metrics.
S3_METRICS_ID = Limit(
    64, "characters", _AWS + "AmazonS3/latest/API/API_MetricsConfiguration.html", "2026-11-26"
)
DYNAMODB_BATCH_KEYS = Limit(
    100, "keys", _AWS + "amazondynamodb/latest/APIReference/API_BatchGetItem.html", "2026-11-26"
)
S3_KEY_BYTES = Limit(
    1024, "bytes", _AWS + "AmazonS3/latest/userguide/object-keys.html", "2026-11-26"
)
S3_BUCKET_NAME = Limit(
    63, "characters", _AWS + "AmazonS3/latest/userguide/bucketnamingrules.html", "2026-11-27"
)
S3_DELETE_KEYS = Limit(
    1000, "objects", _AWS + "AmazonS3/latest/API/API_DeleteObjects.html", "2026-11-27"
)
S3_NOTIFICATIONS = Limit(100, "configurations", _AWS + "general/latest/gr/s3.html", "2026-11-26")
S3_EVENT_BYTES = Limit(
    65_536,
    "bytes",
    _AWS + "AmazonS3/latest/userguide/notification-content-structure.html",
    "2026-11-26",
)
GLUE_NAME_LENGTH = Limit(
    255, "characters", _AWS + "athena/latest/ug/tables-databases-columns-names.html"
)
_TYPES = _AWS + "athena/latest/ug/data-types.html"
HIVE_DECIMAL_DIGITS = Limit(38, "digits", _TYPES, "2026-11-26")
HIVE_CHAR_LENGTH = Limit(255, "characters", _TYPES, "2026-11-26")
HIVE_VARCHAR_LENGTH = Limit(65_535, "characters", _TYPES, "2026-11-26")

# Amazon DynamoDB

_DYNAMODB = _AWS + "amazondynamodb/latest/APIReference/"
DYNAMODB_TRANSACTION_ACTIONS = Limit(100, "actions", _DYNAMODB + "API_TransactWriteItems.html")
DYNAMODB_TRANSACTION_BYTES = Limit(4 * 1024**2, "bytes", _DYNAMODB + "API_TransactWriteItems.html")
DYNAMODB_BATCH_PUTS = Limit(25, "items", _DYNAMODB + "API_BatchWriteItem.html")
DYNAMODB_ITEM_BYTES = Limit(
    400 * 1024,
    "bytes",
    _AWS + "amazondynamodb/latest/developerguide/Constraints.html",
    "2026-11-26",
)
DYNAMODB_KEY_NAME = Limit(255, "characters", _DYNAMODB + "API_KeySchemaElement.html", "2026-11-28")

# DynamoDB Streams

_STREAMS = _AWS + "amazondynamodb/latest/developerguide/"
DYNAMODB_STREAM_KEPT = Limit(86_400, "s", _STREAMS + "Streams.html", "2026-11-26")
_READERS = _STREAMS + "ServiceQuotas.html"  # of a shard at the same time; more are throttled
DYNAMODB_STREAM_READERS = Limit(2, "readers", _READERS, "2026-11-26")
DYNAMODB_GLOBAL_STREAM_READERS = Limit(1, "reader", _READERS, "2026-11-26")

# Amazon Aurora, and its Data API

_AURORA = _AWS + "AmazonRDS/latest/AuroraUserGuide/"
DATA_API_ROW_BYTES = Limit(64 * 1024, "bytes", _AURORA + "data-api.limitations.html", "2026-11-27")
DATA_API_RESPONSE_BYTES = Limit(
    1024**2, "bytes", _AURORA + "data-api.limitations.html", "2026-11-27"
)
DATA_API_IDLE = Limit(180, "s", _AURORA + "data-api.calling.html", "2026-11-27")  # a transaction
AURORA_MAX_CAPACITY = Limit(
    256, "ACUs", _AURORA + "aurora-serverless-v2.setting-capacity.html", "2026-11-27"
)
AURORA_DATABASE_NAME = Limit(
    63, "characters", _AWS + "AmazonRDS/latest/APIReference/API_CreateDBInstance.html", "2026-11-28"
)
AURORA_PAUSE = Limit(300, "s", _AURORA + "aurora-serverless-v2-auto-pause.html", "2026-11-27")

# AWS Step Functions

EXPRESS_MAX_DURATION = Limit(300, "s", _STATES + "choosing-workflow-type.html")
STATES_DESCRIBES = Limit(15, "calls a second", _STATES + "service-quotas.html", "2026-11-27")
STATES_DESCRIBES_AT_ONCE = Limit(300, "calls", _STATES + "service-quotas.html", "2026-11-27")
STATES_DISTRIBUTED_MAP_CONCURRENCY = Limit(
    10_000, "executions", _STATES + "state-map-distributed.html", "2026-11-26"
)
STATES_INLINE_MAP_CONCURRENCY = Limit(40, "items", _STATES + "state-map-inline.html")
STATES_MAX_DURATION = Limit(
    365 * 24 * 3600, "s", _STATES + "choosing-workflow-type.html", "2026-11-26"
)
STATES_DEFAULT_ATTEMPTS = Limit(3, "retries", _STATES + "concepts-error-handling.html")
STATES_DEFAULT_INTERVAL = Limit(1, "s", _STATES + "concepts-error-handling.html", "2026-11-27")
STATES_DEFAULT_BACKOFF = Limit(2, "x", _STATES + "concepts-error-handling.html", "2026-11-27")
STATES_EXECUTION_NAME = Limit(
    80,
    "characters",
    _AWS + "step-functions/latest/apireference/API_StartExecution.html",
    "2026-11-27",
)
STATES_HISTORY = Limit(25_000, "events", _STATES + "service-quotas.html")
STATES_PAYLOAD_BYTES = Limit(262_144, "bytes", _STATES + "service-quotas.html")

# Amazon EventBridge

_EVENTS = _AWS + "eventbridge/latest/"
EVENTS_BATCH_ENTRIES = Limit(
    10, "events", _EVENTS + "APIReference/API_PutEvents.html", "2026-11-26"
)
EVENTS_BATCH_BYTES = Limit(1024**2, "bytes", _EVENTS + "userguide/eb-putevents.html", "2026-11-26")
EVENTS_RULES = Limit(300, "rules", _EVENTS + "userguide/eb-quota.html", "2026-11-26")
EVENTS_RULE_NAME = Limit(64, "characters", _EVENTS + "APIReference/API_PutRule.html", "2026-11-27")
EVENTS_PATTERN_CHARACTERS = Limit(
    2_048, "characters", _EVENTS + "userguide/eb-quota.html", "2026-11-26"
)
_RETRY = _EVENTS + "APIReference/API_RetryPolicy.html"
EVENTS_MAX_RETRIES = Limit(185, "retries", _RETRY, "2026-11-26")
EVENTS_MIN_AGE = Limit(60, "s", _RETRY, "2026-11-26")
EVENTS_MAX_AGE = Limit(86_400, "s", _RETRY, "2026-11-26")
EVENTS_API_TIMEOUT = Limit(5, "s", _EVENTS + "userguide/eb-api-destinations.html", "2026-11-26")
EVENTS_ARCHIVE_DELAY = Limit(600, "s", _EVENTS + "userguide/eb-archive.html", "2026-11-26")

# Amazon EventBridge Scheduler

_SCHEDULER = _AWS + "scheduler/latest/"
_OF_RETRIES = _SCHEDULER + "APIReference/API_RetryPolicy.html"
SCHEDULER_RETRIES = Limit(185, "retries", _OF_RETRIES, "2026-11-26")
SCHEDULER_MIN_AGE = Limit(60, "s", _OF_RETRIES, "2026-11-26")
SCHEDULER_MAX_AGE = Limit(86_400, "s", _OF_RETRIES, "2026-11-26")
SCHEDULER_MAX_WINDOW = Limit(
    1_440, "minutes", _SCHEDULER + "APIReference/API_FlexibleTimeWindow.html", "2026-11-26"
)
SCHEDULER_PRECISION = Limit(60, "s", _SCHEDULER + "UserGuide/schedule-types.html", "2026-11-26")
# Of a schedule, and of its group.
SCHEDULER_NAME = Limit(
    64, "characters", _SCHEDULER + "APIReference/API_CreateSchedule.html", "2026-11-26"
)
# Of a cron expression.
SCHEDULER_FIRST_YEAR = Limit(
    1970, "year", _SCHEDULER + "UserGuide/schedule-types.html", "2026-11-27"
)
SCHEDULER_LAST_YEAR = Limit(
    2199, "year", _SCHEDULER + "UserGuide/schedule-types.html", "2026-11-27"
)
_OF_SCHEDULES = _SCHEDULER + "UserGuide/scheduler-quotas.html"
SCHEDULER_SCHEDULES = Limit(10_000_000, "schedules", _OF_SCHEDULES, "2026-11-26")
SCHEDULER_CREATES = Limit(5_000, "calls a second", _OF_SCHEDULES, "2026-11-26")
SCHEDULER_CREATES_ELSEWHERE = Limit(250, "calls a second", _OF_SCHEDULES, "2026-11-26")
SCHEDULER_INVOCATIONS = Limit(1_000, "calls a second", _OF_SCHEDULES, "2026-11-26")
SCHEDULER_DESCRIPTION = Limit(
    512, "characters", _SCHEDULER + "APIReference/API_CreateSchedule.html", "2026-11-27"
)
SCHEDULER_INPUT_BYTES = Limit(
    256 * 1024, "bytes", _SCHEDULER + "APIReference/API_Target.html", "2026-11-26"
)

# AWS AppSync

_CHANNELS = _AWS + "appsync/latest/eventapi/"
APPSYNC_EVENTS_A_PUBLISH = Limit(5, "events", _CHANNELS + "publish-http.html", "2026-11-27")
APPSYNC_EVENT_KB = Limit(240, "KB", _CHANNELS + "event-api-concepts.html", "2026-11-27")
APPSYNC_API_NAME = Limit(
    50, "characters", _AWS + "appsync/latest/APIReference/API_CreateApi.html", "2026-11-27"
)
APPSYNC_CHANNEL_SEGMENT = Limit(
    50, "characters", _AWS + "appsync/latest/APIReference/API_ChannelNamespace.html", "2026-11-27"
)
APPSYNC_SUBSCRIPTION_KB = Limit(240, "KB", _AWS + "general/latest/gr/appsync.html", "2026-11-27")
APPSYNC_API_KEY_DAYS = Limit(
    365, "days", _AWS + "appsync/latest/APIReference/API_CreateApiKey.html", "2026-11-27"
)
