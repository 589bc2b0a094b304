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
from collections import defaultdict
from functools import wraps
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import uuid4

from .executor import MEGABYTE, Processes

OPEN = "/_aws/execute-api/"  # an API's methods have an authorization of their own
HEALTH = "/_sandbox/health"
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
    run_functions_as_processes()
    keep_tables_in_moto()
    name_operations_of_tables()
    copy_tables_quickly()
    fail_on_unknown_types()
    empty_buckets()
    take_large_forms()
    keep_bodies()
    rename_dead_letters()
    unwrap_sqs_errors()
    require_signatures()
    lock()


def stay_on_this_machine() -> None:
    """Let LocalStack reach nobody else: no telemetry, no licence, no catalogue, no download."""
    connect, bind, look_up = socket.socket.connect, socket.socket.bind, socket.getaddrinfo

    @wraps(connect)
    def local_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise ConnectionRefusedError(f"{address[0]} is not this machine")
        return connect(self, address)

    @wraps(bind)
    def local_bind(self: socket.socket, address: Any) -> None:
        """It listens on all addresses, whatever GATEWAY_LISTEN says."""
        if self.family in (socket.AF_INET, socket.AF_INET6):
            this = "127.0.0.1" if self.family == socket.AF_INET else "::1"
            address = (this, *address[1:])
        return bind(self, address)

    @wraps(look_up)
    def local_look_up(host: Any, *args: Any, **more: Any) -> Any:
        if host is not None and not _is_local(host):
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not this machine")
        return look_up(host, *args, **more)

    socket.socket.connect = local_connect  # type: ignore[method-assign, assignment]
    socket.socket.bind = local_bind  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = local_look_up


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


def keep_tables_in_moto() -> None:
    """Forward DynamoDB to the moto that LocalStack carries, where it would download a Java program.

    One call after the other: moto checks the conditions of a transaction before it writes. Its
    answer is passed on as it is, because LocalStack's own way leaves out CancellationReasons.
    """
    plugins, moto = localstack("services.plugins"), localstack("services.moto")
    load, one_call = plugins.ServicePluginManager._load_service_plugin, threading.Lock()

    def forward(context: Any, _: Any = None) -> Any:
        with one_call:
            try:
                return moto.dispatch_to_moto(context)
            except localstack("aws.api").CommonServiceException as error:
                cause: Any = error.__cause__
                return moto.Response(cause.get_body(), cause.code, dict(cause.get_headers()))

    def create() -> Any:
        provider = localstack("aws.api.dynamodb").DynamodbApi()  # has no operation of its own
        table = localstack("aws.forwarder").ForwardingFallbackDispatcher(provider, forward)
        return plugins.Service.for_provider(provider, dispatch_table_factory=lambda _: table)

    def load_ours(self: Any, name: str) -> Any:
        if name != "dynamodb":
            return load(self, name)
        plugin = plugins.ServicePluginAdapter(api=name, create_service=create)
        plugin.name = "dynamodb:moto"
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


def take_large_forms() -> None:
    """Let SQS see a message of 1 MiB in a form, which encodes a byte as up to three."""
    import_module("werkzeug").Request.max_form_memory_size = 16 * MEGABYTE


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

    def guard(chain: Any, context: Any, response: Any) -> None:
        request = context.request
        if request.path == HEALTH:
            chain.respond(200, json.dumps({"edition": os.environ["SANDBOX_MARK"]}))
        elif hmac.compare_digest(request.headers.get(INTERNAL, ""), secret):
            request.headers.remove(INTERNAL)
        elif not request.path.startswith(OPEN) and not _is_ours(_access_key(request)):
            chain.respond(403, json.dumps({"__type": "InvalidClientTokenId", "message": CLOSED}))

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


CLOSED = "The security token included in the request is invalid."


def _access_key(request: Any) -> str:
    query = request.query_string.decode(errors="replace")
    found = _KEY.search(request.headers.get("Authorization", "")) or _KEY_OF_URL.search(query)
    return found[1] if found else ""


def _is_ours(access_key: str) -> bool:
    if access_key == os.environ["AWS_ACCESS_KEY_ID"]:
        return True
    store = localstack("services.sts.models").sts_stores["000000000000"]["us-east-1"]
    return bool(access_key) and access_key in store.credentials
