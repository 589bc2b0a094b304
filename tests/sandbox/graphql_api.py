"""A GraphQL API of AppSync on this machine: a template's schema by graphql-core, its code in Node.

It does what AppSync documents of directives, ``@aws_subscribe``, arguments of a subscription, and
its frames. Not AppSync's: quotas, delays, the order of messages, IAM's policies, and who signed a
token: a token is one of those that it is given.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, build_schema, execute, parse, validate
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from serverless_patterns.sandbox.runtime import node_folder
from tests.appsync_code import give_utils

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from websockets.sync.server import ServerConnection

# https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html
DIRECTIVES = "directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION\n" + "\n".join(
    f"directive @{name} on OBJECT | FIELD_DEFINITION"
    for name in ("aws_iam", "aws_cognito_user_pools", "aws_oidc", "aws_lambda", "aws_api_key")
)
OF_MODE = {
    "AWS_IAM": "aws_iam",
    "AMAZON_COGNITO_USER_POOLS": "aws_cognito_user_pools",
    "OPENID_CONNECT": "aws_oidc",
    "AWS_LAMBDA": "aws_lambda",
}
# A process that runs code with a NONE data source.
RUN = """import { createInterface } from 'node:readline';
for await (const line of createInterface({ input: process.stdin })) {
  const { code, ctx } = JSON.parse(line);
  let said;
  try {
    const { request, response } = await import(`./${code}.mjs`);
    said = { result: response({ ...ctx, result: request(ctx).payload }) };
  } catch (error) {
    said = { error: error.kind ?? error.name };
  }
  console.log(JSON.stringify(said));
}
"""


class RefusedError(Exception):
    """What AppSync answers instead of a field, by its ``errorType``."""


@dataclass
class GraphqlApi:
    """An API, from the template of a stack that has one.

    Args:
        template: Of the stack.
        folder: For the code of resolvers.
        viewers: The identity that each token proves.
        fails: Whether AppSync fails a mutation with these arguments.
        loses: Whether AppSync does not hand an event to a client.
    """

    template: Mapping[str, Any]
    folder: Path
    viewers: Mapping[str, Any]
    fails: Callable[[Mapping[str, Any]], bool] = lambda _: False
    loses: Callable[[Mapping[str, Any]], bool] = lambda _: False
    requests: list[Any] = field(default_factory=list)
    http: str = ""
    realtime: str = ""

    def __post_init__(self) -> None:
        of = {kind: self._of(f"AWS::AppSync::{kind}") for kind in
              ("GraphQLApi", "GraphQLSchema", "Resolver", "DataSource")}  # fmt: skip
        [api], [schema] = of["GraphQLApi"], of["GraphQLSchema"]
        modes = [api, *api["AdditionalAuthenticationProviders"]]
        self._modes = {OF_MODE[one["AuthenticationType"]] for one in modes}
        self._default = OF_MODE[api["AuthenticationType"]]
        self._schema = build_schema(f"{DIRECTIVES}\n{schema['Definition']}")
        assert [one["Type"] for one in of["DataSource"]] == ["NONE"]
        give_utils(self.folder)
        (self.folder / "run.mjs").write_text(RUN)
        self._coded = set[str]()
        for one in of["Resolver"]:
            assert one["Runtime"] == {"Name": "APPSYNC_JS", "RuntimeVersion": "1.0.0"}
            assert one["FieldName"] in self._schema.type_map[one["TypeName"]].fields  # type: ignore[attr-defined]
            self._coded.add(f"{one['TypeName']}.{one['FieldName']}")
            (self.folder / f"{one['TypeName']}.{one['FieldName']}.mjs").write_text(one["Code"])
        self._lock = threading.Lock()
        self._clients: list[tuple[ServerConnection, str, str, dict[str, Any]]] = []

    def _of(self, kind: str) -> list[Any]:
        every = self.template["Resources"].values()
        return [one["Properties"] for one in every if one["Type"] == kind]

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve at ``http`` and ``realtime``, hosts with ports of this machine."""
        api = self

        class Http(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/graphql"
                status, answer = api.post(self.headers["Authorization"] or "", body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None: ...

        protocols: Any = ["graphql-ws"]
        run = [f"{node_folder()}/node", "run.mjs"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with (
            subprocess.Popen(run, cwd=self.folder, text=True, **pipes) as self._node,
            ThreadingHTTPServer(("127.0.0.1", 0), Http) as http,
            serve(self._talk, "127.0.0.1", 0, subprotocols=protocols) as sockets,
        ):
            for server in (http, sockets):
                threading.Thread(target=server.serve_forever, daemon=True).start()
            self.http = f"127.0.0.1:{http.server_address[1]}"
            self.realtime = f"real.example:{sockets.socket.getsockname()[1]}"
            try:
                yield
            finally:
                for server in (http, sockets):
                    server.shutdown()
                self._node.kill()

    def post(self, authorization: str, body: Any) -> tuple[int, Any]:
        """Answer a request of HTTP."""
        try:
            mode, identity = self._identity(authorization)
        except RefusedError as error:
            return 401, {"errors": [{"errorType": str(error)}]}
        self.requests.append(body)
        answer, called = self._run(body, mode, identity)
        for alias, mutation, _ in called:
            if result := (answer["data"] or {}).get(alias):
                self._broadcast(mutation, result)
        return 200, answer

    def _identity(self, authorization: str) -> tuple[str, Any]:
        if re.match(r"AWS4-HMAC-SHA256 .*/appsync/aws4_request", authorization):
            return "aws_iam", {"userArn": "arn:aws:sts::1:assumed-role/r/s"}
        if authorization not in self.viewers:
            raise RefusedError("UnauthorizedException")
        (mode,) = self._modes - {"aws_iam"}
        return mode, self.viewers[authorization]

    def _run(self, body: Any, mode: str, identity: Any) -> tuple[Any, list[tuple[str, str, Any]]]:
        """Run a document; return the answer, and the alias, name and arguments of its fields."""
        document = parse(body["query"])
        if wrong := validate(self._schema, document):
            error = {"path": None, "errorType": "ValidationError", "message": str(wrong[0])}
            return {"data": None, "errors": [error]}, []
        called: list[tuple[str, str, Any]] = []

        def resolve(source: Any, info: Any, **arguments: Any) -> Any:
            type_name, field_name = info.parent_type.name, info.field_name
            definition = info.parent_type.fields[field_name].ast_node
            for node in (definition, info.parent_type.ast_node):
                allowed = {one.name.value for one in node.directives or ()} - {"aws_subscribe"}
                if allowed:
                    break
            if mode not in (allowed or {self._default}):
                raise RefusedError("Unauthorized")
            if source is not None:
                return source[field_name]
            called.append((info.path.key, field_name, arguments))
            if type_name == "Mutation" and self.fails(arguments):
                raise RefusedError("InternalFailure")
            code = f"{type_name}.{field_name}"
            context = {"args": arguments, "identity": identity}
            return self._code(code, context) if code in self._coded else None

        said: Any = execute(
            self._schema, document, variable_values=body.get("variables"), field_resolver=resolve
        )
        answer = {"data": said.data}
        if said.errors:
            answer["errors"] = [self._error(error) for error in said.errors]
        return answer, called

    @staticmethod
    def _error(error: GraphQLError) -> Any:
        refused = isinstance(error.original_error, RefusedError)
        kind = str(error.original_error) if refused else "ValidationError"
        return {"path": error.path, "data": None, "errorType": kind, "message": str(error)}

    def _code(self, code: str, ctx: Any) -> Any:
        with self._lock:
            print(json.dumps({"code": code, "ctx": ctx}), file=self._node.stdin, flush=True)
            assert self._node.stdout
            said = json.loads(self._node.stdout.readline())
        if "error" in said:
            raise RefusedError(said["error"])
        return said["result"]

    # Subscriptions

    def _broadcast(self, mutation: str, result: Mapping[str, Any]) -> None:
        """Send the result of a mutation to the subscriptions whose arguments it has."""
        for socket, id_, field_name, arguments in [*self._clients]:
            definition: Any = self._schema.subscription_type
            (listed,) = [
                one for one in definition.fields[field_name].ast_node.directives
                if one.name.value == "aws_subscribe"
            ]  # fmt: skip
            mutations = [value.value for value in listed.arguments[0].value.values]
            matches = all(result.get(name) == value for name, value in arguments.items())
            if mutation in mutations and matches and not self.loses(result):
                with suppress(ConnectionClosed):
                    _say(socket, "data", id_, data={field_name: result})

    def _talk(self, socket: ServerConnection) -> None:
        assert socket.request
        assert socket.request.path == "/graphql"
        with suppress(ConnectionClosed):
            for text in socket:
                self._answer(socket, json.loads(text))

    def _answer(self, socket: ServerConnection, frame: Any) -> None:
        if frame["type"] == "connection_init":
            assert socket.request
            header = socket.request.headers["Sec-WebSocket-Protocol"].partition("header-")[2]
            said = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
            try:
                self._identity(said["Authorization"])
            except RefusedError as error:
                _say(socket, "connection_error", errors=[{"errorType": str(error)}])
                return socket.close()
            _say(socket, "connection_ack", connectionTimeoutMs=300_000)
            return _say(socket, "ka")
        assert frame["type"] == "start"
        body = json.loads(frame["payload"]["data"])
        try:
            said = frame["payload"]["extensions"]["authorization"]["Authorization"]
            answer, called = self._run(body, *self._identity(said))
        except RefusedError as error:
            answer, called = {"errors": [{"errorType": str(error)}]}, []
        if "errors" in answer:
            return _say(socket, "error", frame["id"], errors=answer["errors"])
        [(_, subscription, arguments)] = called
        self._clients.append((socket, frame["id"], subscription, arguments))
        return _say(socket, "start_ack", frame["id"])


def _say(socket: ServerConnection, kind: str, id_: str | None = None, **said: Any) -> None:
    frame = {"type": kind} | ({"id": id_} if id_ else {}) | ({"payload": said} if said else {})
    socket.send(json.dumps(frame))
