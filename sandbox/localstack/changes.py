"""What we change of LocalStack in place, before it starts."""

from __future__ import annotations

import contextlib
import copy
import hmac
import ipaddress
import json
import os
import re
import secrets
import socket
import threading
import time
from collections import defaultdict
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import lru_cache, wraps
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import uuid4

from . import signing
from .executor import MEGABYTE, Processes

# An API's methods have an authorization of their own; a certificate is everybody's.
OPEN = ("/_aws/execute-api/", signing.PATH)
HEALTH = "/_sandbox/health"
# Evaluates alarms as of a time, ``at``; ``next`` is the last answer, which is empty at the end.
ALARMS = "/_sandbox/alarms"
SECONDS = 10  # for which one request evaluates: far from where a client gives up
REST = 0.2  # s between two reads of an idle stream; Lambda reads each shard once a second
INTERNAL = "x-sandbox-internal"
DEAD_LETTER = "DeadLetterQueueSourceArn"  # an attribute of a message that SQS dead-lettered
AUTO_DELETE = "Custom::S3AutoDeleteObjects"
_KEY = re.compile(r"Credential=([^/,\s]+)/")
_KEY_OF_URL = re.compile(r"(?:X-Amz-Credential|AWSAccessKeyId)=([^/&%]+)")


def localstack(module: str) -> Any:
    """A module of LocalStack, by name: this project is checked without it."""
    return import_module(f"localstack.{module}")


def apply_all() -> None:
    """Make each change. Called once, before LocalStack starts."""
    stay_on_this_machine()
    signing.sign_as_sns()  # early: who imports SNS's provider routes to its certificate
    run_functions_as_processes()
    keep_tables_and_streams_in_moto()
    name_operations_of_tables()
    copy_tables_quickly()
    parse_paths_once()
    forget_canceled_changes()
    read_streams_as_asked()
    rest_when_streams_are_idle()
    log_where_functions_say()
    keep_events_through_updates()
    evaluate_jsonata_in_python()
    let_errors_leave_branches()
    fail_on_unknown_types()
    empty_buckets()
    take_large_forms()
    take_large_messages()
    keep_bodies()
    rename_dead_letters()
    unwrap_sqs_errors()
    tell_metrics_apart()
    read_metrics_at_once()
    look_at_alarms_when_asked()
    name_urls_as_https()
    signing.deliver_as_sns()
    signing.sign_batches()
    require_signatures()
    lock()


def stay_on_this_machine() -> None:
    """Let LocalStack reach nobody else: no telemetry, no licence, no catalogue, no download."""
    bind = socket.socket.bind

    def to_this_machine(send: Any) -> Any:
        """A method of a socket whose last argument is an address."""

        @wraps(send)
        def checked(self: socket.socket, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(args[-1][0]):
                raise ConnectionRefusedError(f"{args[-1][0]} is not this machine")
            return send(self, *args)

        return checked

    def of_this_machine(look_up: Any) -> Any:
        """A function that would ask a name server."""

        @wraps(look_up)
        def checked(host: Any, *args: Any, **more: Any) -> Any:
            if host is not None and not _is_local(host):
                raise socket.gaierror(socket.EAI_NONAME, f"{host} is not this machine")
            return look_up(host, *args, **more)

        return checked

    @wraps(bind)
    def local_bind(self: socket.socket, address: Any) -> None:
        """It listens on all addresses, whatever GATEWAY_LISTEN says."""
        if self.family in (socket.AF_INET, socket.AF_INET6):
            this = "127.0.0.1" if self.family == socket.AF_INET else "::1"
            address = (this, *address[1:])
        return bind(self, address)

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, to_this_machine(getattr(socket.socket, name)))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, of_this_machine(getattr(socket, name)))
    socket.socket.bind = local_bind  # type: ignore[method-assign, assignment]


def _is_local(host: Any) -> bool:
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def run_functions_as_processes() -> None:
    """Give Lambda our executor, where it would take Docker's."""
    localstack("services.lambda_.invocation.runtime_executor").get_runtime_executor = lambda: (
        Processes
    )


def name_urls_as_https() -> None:
    """Let a function's URL begin with https://, as SNS asks of an HTTPS endpoint."""
    utils = localstack("services.lambda_.api_utils")
    told = utils.map_function_url_config

    @wraps(told)
    def as_https(given: Any) -> Any:
        found = told(given)
        return {**found, "FunctionUrl": found["FunctionUrl"].replace("http://", "https://", 1)}

    utils.map_function_url_config = as_https


def keep_tables_and_streams_in_moto() -> None:
    """Forward DynamoDB and Kinesis to the moto that LocalStack carries, where it would download.

    DynamoDB is a Java program, Kinesis one for Node. One call after the other: moto checks the
    conditions of a transaction before it writes. Its answer is passed on as it is, because
    LocalStack's own way leaves out CancellationReasons.
    """
    plugins, moto = localstack("services.plugins"), localstack("services.moto")
    load, one_call = plugins.ServicePluginManager._load_service_plugin, threading.Lock()
    apis = {
        "dynamodb": "DynamodbApi",
        "dynamodbstreams": "DynamodbstreamsApi",
        "kinesis": "KinesisApi",
    }

    def forward(context: Any, _: Any = None) -> Any:
        with one_call:
            try:
                return moto.dispatch_to_moto(context)
            except localstack("aws.api").CommonServiceException as error:
                cause: Any = error.__cause__
                return moto.Response(cause.get_body(), cause.code, dict(cause.get_headers()))

    def create(name: str) -> Any:
        provider = getattr(localstack(f"aws.api.{name}"), apis[name])()  # does nothing of its own
        table = localstack("aws.forwarder").ForwardingFallbackDispatcher(provider, forward)
        return plugins.Service.for_provider(provider, dispatch_table_factory=lambda _: table)

    def load_ours(self: Any, name: str) -> Any:
        if name not in apis:
            return load(self, name)
        plugin = plugins.ServicePluginAdapter(api=name, create_service=lambda: create(name))
        plugin.name = f"{name}:moto"
        plugin.load()
        return plugin

    plugins.ServicePluginManager._load_service_plugin = load_ours


def name_operations_of_tables() -> None:
    """Have moto read DynamoDB's operation from its header, not from a text with ``&Action=``."""
    handler = import_module("moto.dynamodb.responses").DynamoHandler
    handler._get_action = lambda self: self.headers["X-Amz-Target"].rpartition(".")[2]


def copy_tables_quickly() -> None:
    """Have moto keep what a transaction replaces in place of a deep copy of the whole table.

    With a thousand items the copy takes longer than a function waits for an answer.
    """
    models = import_module("moto.dynamodb.models")
    update = models.DynamoDBBackend.update_item

    def snapshot(table: Any, _: Any) -> Any:
        kept = copy.copy(table)
        kept.items = defaultdict(dict)
        for key, found in table.items.items():
            kept.items[key] = dict(found) if isinstance(found, dict) else found
        return kept

    def update_a_copy(self: Any, table_name: str, key: Any, *args: Any, **more: Any) -> Any:
        """Update a copy of the item, so that a snapshot has it as it was."""
        table, item = self.tables.get(table_name), None
        with contextlib.suppress(Exception):  # update() itself tells what is wrong
            item = copy.deepcopy(self.get_item(table_name, key))
        if item and table.has_range_key:
            table.items[item.hash_key][item.range_key] = item
        elif item:
            table.items[item.hash_key] = item
        return update(self, table_name, key, *args, **more)

    models.Table.__deepcopy__ = snapshot
    models.DynamoDBBackend.update_item = update_a_copy


def parse_paths_once() -> None:
    """Keep what a path such as ``$.order`` is parsed to: each parse would make its grammar anew."""
    for name in ("jsonpath_ng", "jsonpath_ng.ext", "jsonpath_rw"):
        module = import_module(name)
        module.parse = lru_cache(module.parse)  # type: ignore[attr-defined]


def forget_canceled_changes() -> None:
    """Take what a canceled transaction wrote out of the tables' streams, as moto does of tables."""
    backend = import_module("moto.dynamodb.models").DynamoDBBackend
    transact = backend.transact_write_items

    def transact_or_forget(self: Any, *args: Any, **more: Any) -> Any:
        streams = [table.stream_shard for table in self.tables.values() if table.stream_shard]
        ends = [len(stream.items) for stream in streams]
        try:
            return transact(self, *args, **more)
        except Exception:
            for stream, end in zip(streams, ends, strict=True):
                del stream.items[end:]
            raise

    backend.transact_write_items = transact_or_forget


def read_streams_as_asked() -> None:
    """Read a stream for a consumer of it, and from a time: moto knows a stream by its own ARN only.

    It is read by GetRecords, with enhanced fan-out, too. LocalStack loses the time on its way.
    """
    mappings = "services.lambda_.event_source_mapping"
    poller = localstack(f"{mappings}.pollers.kinesis_poller").KinesisPoller
    factory = localstack(f"{mappings}.esm_worker_factory").EsmWorkerFactory
    provider = localstack("services.lambda_.provider").LambdaProvider
    exists, make = provider.check_service_resource_exists, factory.get_esm_worker

    def make_worker(self: Any) -> Any:
        worker = make(self)
        if time := self.esm_config.get("StartingPositionTimestamp"):
            worker.poller.stream_parameters["StartingPositionTimestamp"] = time
        return worker

    def shards(self: Any) -> dict[str, str]:
        where, settings = self.stream_arn_param(), self.stream_parameters
        start = {"ShardIteratorType": settings["StartingPosition"]}
        if time := settings.get("StartingPositionTimestamp"):
            start["Timestamp"] = time
        client = self.source_client
        found = client.describe_stream(**where)["StreamDescription"]["Shards"]
        names = [shard["ShardId"] for shard in found]
        iterators = (client.get_shard_iterator(**where, ShardId=one, **start) for one in names)
        return {n: it["ShardIterator"] for n, it in zip(names, iterators, strict=True)}

    provider.check_service_resource_exists = lambda self, service, arn, *names: exists(
        self, service, _stream(arn), *names
    )
    factory.get_esm_worker, poller.initialize_shards = make_worker, shards
    poller.stream_arn_param = lambda self: {"StreamARN": _stream(self.source_arn)}


def rest_when_streams_are_idle() -> None:
    """Let a mapping rest once no shard has records: idle ones would use a fifth of a core."""
    poller = localstack("services.lambda_.event_source_mapping.pollers.stream_poller").StreamPoller
    get = poller.get_records

    def get_records(self: Any, iterator: str) -> Any:
        found = get(self, iterator)
        self.empty = 0 if found["Records"] else self.empty + 1
        if self.empty >= len(self.shards):
            self._is_shutdown.wait(REST)
        return found

    poller.empty, poller.get_records = 0, get_records


def _stream(arn: str) -> str:
    """The ARN of the stream that a consumer reads; any other ARN as it is."""
    return arn.partition("/consumer/")[0] if ":kinesis:" in arn else arn


def log_where_functions_say() -> None:
    """Write a function's log into the log group of its settings, where LocalStack takes no notice.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    module = "services.lambda_.invocation.execution_environment"
    environment = localstack(module).ExecutionEnvironment
    by_name = environment.get_log_group_name

    def of_its_settings(self: Any) -> Any:
        settings = self.function_version.config.logging_config or {}
        return settings.get("LogGroup") or by_name(self)

    environment.get_log_group_name = of_its_settings


def keep_events_through_updates() -> None:
    """Have a function's waiting events go on at once when the function is updated.

    LocalStack ends the poller of the old version with what it has just received, and hands that out
    again after the function's time limit and a minute. And of an event that nothing has answered,
    as the function is switched off, it cannot make a dead letter: an attribute would be empty.
    """
    events = localstack("services.lambda_.invocation.event_manager")
    poller, bury = events.Poller, events.Poller.process_dead_letter_queue

    def run(self: Any, *_: Any, **__: Any) -> None:
        client = events.get_sqs_client(self.version_manager.function_version)
        seconds = self.version_manager.function_version.config.timeout + 60
        while not self._shutdown_event.is_set():
            found: dict[str, Any] = {}
            with contextlib.suppress(ValueError):  # the function is deleted, its queue with it
                found = client.receive_message(
                    QueueUrl=self.event_queue_url,
                    WaitTimeSeconds=2,
                    MaxNumberOfMessages=10,
                    VisibilityTimeout=seconds,
                )
            for message in found.get("Messages") or []:
                try:
                    self.invoker_pool.submit(self.handle_message, message)
                except RuntimeError:  # stopped meanwhile
                    self.handle_message(message)

    def stop(self: Any) -> None:
        self._shutdown_event.set()
        self.invoker_pool.shutdown(wait=False)

    poller.run, poller.stop = run, stop
    poller.process_dead_letter_queue = lambda self, event, answer: bury(
        self, event, answer or {"errorMessage": "The function did not run."}
    )


def evaluate_jsonata_in_python() -> None:
    """Evaluate JSONata with a Python package, where LocalStack would download Java."""
    module = localstack("services.stepfunctions.asl.jsonata.jsonata")
    jsonata = import_module("jsonata").Jsonata

    def evaluate(expression: str) -> Any:
        try:
            return json.loads(json.dumps(jsonata.jsonata(expression).evaluate(None)))
        except Exception as error:
            raise module.JSONataException("UNKNOWN", str(error)) from error

    module._eval_jsonata = evaluate


def let_errors_leave_branches() -> None:
    """Let an error such as States.Timeout of a step inside Map or Parallel reach its Catch.

    LocalStack rejects the name there, as that of an error of one's own.
    """
    states = "services.stepfunctions.asl.component"
    error_name = localstack(f"{states}.common.error_name.error_name").ErrorName
    for module in ("state_map.iteration.iteration_worker", "state_parallel.branches_decl"):
        localstack(f"{states}.state.state_execution.{module}").CustomErrorName = error_name


def take_large_forms() -> None:
    """Let SQS see a message of 1 MiB in a form, which encodes a byte as up to three."""
    import_module("werkzeug").Request.max_form_memory_size = 16 * MEGABYTE


def take_large_messages() -> None:
    """Let a topic take a message as large as its MaximumMessageSize says: LocalStack takes 256 KiB.

    It keeps the attribute, if it is a string, and delivers such a message as any other.
    """
    of_templates = localstack("services.sns.resource_providers.aws_sns_topic").SNSTopicProvider
    create = of_templates.create

    def create_with_a_string(self: Any, request: Any) -> Any:
        if size := request.desired_state.get("MaximumMessageSize"):
            request.desired_state["MaximumMessageSize"] = str(size)
        return create(self, request)

    of_templates.create = create_with_a_string
    module = localstack("services.sns.provider")
    publish, size_of = module.SnsProvider.publish, module._get_total_publish_size
    above: ContextVar[int] = ContextVar("above", default=0)  # bytes more than LocalStack takes

    @wraps(publish)
    def with_its_size(self: Any, context: Any, message: str, **more: Any) -> Any:
        arn = more.get("topic_arn") or more.get("target_arn")
        topic = self.get_store(context.account_id, context.region).topics.get(arn, {})
        limit = topic.get("attributes", {}).get("MaximumMessageSize")
        above.set(int(limit or module.MAXIMUM_MESSAGE_LENGTH) - module.MAXIMUM_MESSAGE_LENGTH)
        try:
            return publish(self, context, message, **more)
        finally:
            above.set(0)

    module.SnsProvider.publish = with_its_size
    module._get_total_publish_size = lambda *args: size_of(*args) - above.get()


def keep_bodies() -> None:
    """Hand a function a message's body byte for byte: LocalStack parses it and writes it anew."""
    poller = localstack("services.lambda_.event_source_mapping.pollers.sqs_poller")

    class Parsed(dict[str, Any]):
        """A body that filters can look into, and its bytes."""

        raw = ""

    def loads(text: str) -> Parsed:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise json.JSONDecodeError("only an object can be filtered", text, 0)
        parsed = Parsed(found)
        parsed.raw = text
        return parsed

    def dumps(value: Any, **more: Any) -> str:
        return value.raw if isinstance(value, Parsed) else json.dumps(value, **more)

    poller.json = SimpleNamespace(
        loads=loads, dumps=dumps, JSONDecodeError=json.JSONDecodeError, JSONEncoder=json.JSONEncoder
    )


def rename_dead_letters() -> None:
    """Give a message that a FIFO queue dead-letters its own id as deduplication id, as SQS does.

    And a redriven one a new id. Else a redrive within five minutes loses it, as a duplicate of
    itself (Amazon SQS developer guide, "Learn how to configure a dead-letter queue redrive").
    """
    queue = localstack("services.sqs.models").FifoQueue
    put = queue.put

    def put_renamed(
        self: Any, message: Any, *args: Any, message_deduplication_id: Any = None, **more: Any
    ) -> Any:
        source = message.get("Attributes", {}).get(DEAD_LETTER)
        if source == self.arn:
            # A copy: the dead-letter queue finds its own by the id.
            kept = {k: v for k, v in message["Attributes"].items() if k != DEAD_LETTER}
            message = {**message, "Attributes": kept, "MessageId": str(uuid4())}
        if source:
            message_deduplication_id = message["MessageId"]
        return put(self, message, *args, message_deduplication_id=message_deduplication_id, **more)

    queue.put = put_renamed


def unwrap_sqs_errors() -> None:
    """Answer an SQS error in SQS's JSON form: an API's mapping reads ``$.Error.Code``."""
    serializer = localstack("services.sqs.query_api").serializer
    serialize = serializer.serialize_error_to_response

    def unwrapped(*args: Any, **more: Any) -> Any:
        response = serialize(*args, **more)
        if response.data.startswith(b'{"ErrorResponse"'):
            response.set_json(json.loads(response.data)["ErrorResponse"])
        return response

    serializer.serialize_error_to_response = unwrapped


def tell_metrics_apart() -> None:
    """Find a metric by exactly its dimensions: LocalStack takes one whose value only begins so.

    And a dimension of another case: SQLite's LIKE ignores case. On a busy machine a writer waits
    for others for longer than SQLite's five seconds, after which a call fails.
    """
    module = localstack("services.cloudwatch.cloudwatch_database_helper")
    database = module.CloudwatchDatabase
    stored, connect = database._get_ordered_dimensions_with_separator, module.sqlite3.connect

    def case_sensitive(*args: Any, **more: Any) -> Any:
        connection = connect(*args, timeout=60, **more)
        connection.execute("PRAGMA case_sensitive_like = ON")
        return connection

    module.sqlite3 = SimpleNamespace(connect=case_sensitive)
    database._get_ordered_dimensions_with_separator = lambda self, dimensions, **_: stored(
        self, dimensions
    )


def read_metrics_at_once() -> None:
    """Read what an alarm watches by one query, where LocalStack makes a call for each period."""
    alarms = localstack("services.cloudwatch.alarm_scheduler")
    helper = localstack("services.cloudwatch.cloudwatch_database_helper")

    def collect(alarm: Any, _client: Any) -> list[float | None]:
        periods, seconds = alarm["EvaluationPeriods"], alarm["Period"]
        count = periods + max(periods // 3, 2)  # as many as LocalStack reads
        end = Clock.now(UTC)
        start = end - timedelta(seconds=count * seconds)
        _, _, _, region, account, *_ = alarm["AlarmArn"].split(":")
        found = helper.CloudwatchDatabase().get_metric_data_stat(
            account, region, alarms.generate_metric_query(alarm), start, end, None
        )
        values = dict(zip(found["timestamps"], found["values"], strict=True))
        first = int(start.timestamp())
        return [values.get(first + number * seconds) for number in range(count)]

    alarms.collect_metric_data = collect


class Clock(datetime):
    """The time by which alarms are looked at: as it is, until somebody asks for another one."""

    at: datetime | None = None

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """The time asked for."""
        return cls.at or datetime.now(tz)


def look_at_alarms_when_asked() -> None:
    """Evaluate each alarm as of a time that somebody asks for; time stops until asked without one.

    LocalStack evaluates one once in all of its periods, which are fifteen minutes for some, where
    CloudWatch does each minute.
    """
    alarms = localstack("services.cloudwatch.alarm_scheduler")
    alarms.datetime, alarms.when_asked = Clock, alarms.calculate_alarm_state
    alarms.calculate_alarm_state = lambda arn: None if Clock.at else alarms.when_asked(arn)


def _look_at_alarms(at: str, first: str) -> str:
    """Report what queues hold, as LocalStack does each minute, and evaluate alarms from a place on.

    Returns the place of the next one once the time is over, and "" when all are done.
    """
    if not at:
        Clock.at = None
        return ""
    alarms = localstack("services.cloudwatch.alarm_scheduler")
    queues = localstack("services.sqs.provider").CloudwatchPublishWorker
    deadline = time.monotonic() + SECONDS
    if first == "0":
        queues.publish_approximate_cloudwatch_metrics(None)
    Clock.at = datetime.fromtimestamp(float(at), tz=UTC)
    stores = localstack("services.cloudwatch.models").cloudwatch_stores.iter_stores()
    every = [item for _, _, store in stores for item in store.alarms.items()]
    for place, (arn, alarm) in [*enumerate(every, 1)][int(first) :]:
        if alarms.AlarmScheduler._is_alarm_supported(None, alarm.alarm):
            alarms.when_asked(arn)
        if time.monotonic() > deadline and place < len(every):
            return str(place)
    return ""


def require_signatures() -> None:
    """Refuse an API's call without a key of this run, where its method asks for IAM's."""
    api = "services.apigateway.next_gen.execute_api"
    gateway, answers = localstack(f"{api}.gateway"), localstack(f"{api}.gateway_response")
    init = gateway.RestApiGateway.__init__

    def check(_chain: Any, context: Any, _response: Any) -> None:
        asks = context.resource_method.get("authorizationType") == "AWS_IAM"
        if asks and not _is_ours(_access_key(context.request)):
            raise answers.MissingAuthTokenError("Missing Authentication Token")

    def init_checked(self: Any) -> None:
        init(self)
        routed = self.request_handlers.index(gateway.handlers.route_request)
        self.request_handlers.insert(routed + 1, check)

    gateway.RestApiGateway.__init__ = init_checked


def fail_on_unknown_types() -> None:
    """Fail a stack with a type that LocalStack cannot create; it would report CREATE_COMPLETE.

    With CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES=0 it asks its vendor's catalogue, which is elsewhere.
    """
    engine = "services.cloudformation.engine.v2"
    checker = localstack(f"{engine}.change_set_resource_support_checker")
    common = localstack("utils.catalog.common")
    checker.get_aws_catalog = lambda: None

    def status(_: Any, kind: str) -> Any:
        providers = localstack("services.cloudformation.resource_provider").plugin_manager
        if kind == AUTO_DELETE or providers.exists(kind):
            return common.CloudFormationResourcesSupportAtRuntime.AVAILABLE
        return common.CloudFormationResourcesSupportInLatest.NOT_SUPPORTED

    checker.ChangeSetResourceSupportChecker._resource_support_status = status


def empty_buckets() -> None:
    """Forward CDK's deletion of a bucket's objects to S3: its own function is written for Node."""
    module = localstack("services.cloudformation.resource_provider")
    executor = module.ResourceProviderExecutor
    load = executor.try_load_resource_provider

    class AutoDelete:
        """What CDK's function does."""

        TYPE = AUTO_DELETE
        SCHEMA: ClassVar = {"primaryIdentifier": ["/properties/BucketName"]}

        def create(self, request: Any) -> Any:
            """Nothing happens until the bucket is deleted."""
            state = request.desired_state
            return module.ProgressEvent(module.OperationStatus.SUCCESS, resource_model=state)

        update = create

        def delete(self, request: Any) -> Any:
            """Delete every version of every object."""
            state = request.previous_state or request.desired_state
            s3, bucket = request.aws_client_factory.s3, state["BucketName"]
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                for one in found:
                    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            return module.ProgressEvent(module.OperationStatus.SUCCESS, resource_model={})

    executor.try_load_resource_provider = staticmethod(
        lambda kind: AutoDelete() if kind == AUTO_DELETE else load(kind)
    )


def lock() -> None:
    """Take the keys of this run, and those that its STS has given, for callers'; close the pages.

    LocalStack itself takes any key for an account's root user, and serves pages that show and reset
    what it holds.
    """
    secret = secrets.token_hex(20)
    connections = localstack("aws.connect")
    for factory in (connections.ClientFactory, connections.InternalClientFactory):
        factory._get_client_post_hook = _with_secret(factory._get_client_post_hook, secret)
    app = localstack("aws.app")
    init = app.LocalstackAwsGateway.__init__

    def init_locked(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        self.request_handlers.insert(0, guard)
        routed = self.request_handlers.index(app.handlers.serve_edge_router_rules)
        self.request_handlers.insert(routed + 1, close)

    def guard(chain: Any, context: Any, response: Any) -> None:
        request, own = context.request, secret.encode()
        if hmac.compare_digest(request.headers.get(INTERNAL, "").encode(), own):
            request.headers.remove(INTERNAL)
            context.is_ours = True
        elif _is_ours(_access_key(request)):
            context.is_ours = True
            if request.path == ALARMS:
                following = _look_at_alarms(
                    request.args.get("at", ""), request.args.get("next", "0")
                )
                chain.respond(200, following)
        elif request.path == HEALTH:
            answer(chain, context, 200, edition=os.environ["SANDBOX_MARK"])
        elif not request.path.startswith(OPEN):
            answer(chain, context, 403, **CLOSED)

    def close(chain: Any, context: Any, response: Any) -> None:
        """No API has this path: LocalStack would look for a service in the host and the headers."""
        if not hasattr(context, "is_ours"):
            answer(chain, context, 403, **CLOSED)

    def answer(chain: Any, context: Any, status: int, **document: str) -> None:
        context.request.headers.pop("Origin", None)  # or the answer would be any page's to read
        chain.respond(status, json.dumps(document))

    app.LocalstackAwsGateway.__init__ = init_locked


def _with_secret(hook: Any, secret: str) -> Any:
    """A client that LocalStack makes for itself tells us so by a secret in its requests."""

    def own_client(self: Any, client: Any) -> Any:
        client.meta.events.register(
            "before-sign.*.*", lambda request, **_: _set(request.headers, secret)
        )
        return hook(self, client)

    return own_client


def _set(headers: Any, secret: str) -> None:
    del headers[INTERNAL]  # a request that is signed again has it already
    headers[INTERNAL] = secret


CLOSED = {
    "__type": "InvalidClientTokenId",
    "message": "The security token included in the request is invalid.",
}


def _access_key(request: Any) -> str:
    query = request.query_string.decode(errors="replace")
    found = _KEY.search(request.headers.get("Authorization", "")) or _KEY_OF_URL.search(query)
    return found[1] if found else ""


def _is_ours(access_key: str) -> bool:
    if access_key == os.environ["AWS_ACCESS_KEY_ID"]:
        return True
    store = localstack("services.sts.models").sts_stores["000000000000"]["us-east-1"]
    return bool(access_key) and access_key in store.credentials
