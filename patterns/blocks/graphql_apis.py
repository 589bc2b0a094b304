"""GraphQL subscriptions of AWS AppSync, each client to events of its own: a new API, or yours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path as File
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from ..checks import appsync as checks
from ..checks import reject
from .alarms import MINUTE
from .event_apis import Channels, Kind, Viewers, check_kinds, names_of_api, take
from .findings import acknowledge
from .grants import service_principal
from .places import check_here
from .stacks import same_stack
from .values import Path, child_of, seconds

if TYPE_CHECKING:
    from constructs import Construct

# How a client is authorized: the directive in a schema, and where code finds who it is. Sources:
# https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html,
# https://docs.aws.amazon.com/appsync/latest/devguide/resolver-context-reference-js.html
BY = {
    Kind.USER_POOL: ("@aws_cognito_user_pools", "claims"),
    Kind.OIDC: ("@aws_oidc", "claims"),
    Kind.LAMBDA: ("@aws_lambda", "resolverContext"),
}
PUBLISH = """export function request(ctx) {
  return { payload: ctx.args };
}
export function response(ctx) {
  return ctx.result;
}
"""
SUBSCRIBE = """import {{ util }} from '@aws-appsync/utils';

// A client may subscribe as the owner that its own {key} names, and as nobody else.
export function request(ctx) {{
  const owner = ctx.identity?.{where}?.[{key}];
  if (!owner || ctx.args.owner !== owner) {{
    util.unauthorized();
  }}
  return {{ payload: null }};
}}
export function response() {{
  return null;
}}
"""
WHY_NOT_VERBOSE = "Requests are logged without their content, which is the customers'."
# Strings other than names say nothing here: they describe, or are defaults.
WORD = re.compile(r'"""[\s\S]*?"""|#.*|("\w+"|@?\w+|[^\s,"])|"(?:\\.|[^"\\\n])*"')


@dataclass(frozen=True)
class NewGraphqlApi:
    """A new GraphQL API with one mutation, by IAM alone, and one subscription. It has no key."""


class GraphqlChannels(Channels):
    """A mutation that publishes, and the subscription to it, of a GraphQL API, new or yours."""

    _broadcasts = "PublishDataMessage"

    def __init__(
        self, scope: Construct, api: appsync.GraphqlApi | NewGraphqlApi, name: str, viewers: Viewers
    ) -> None:
        reject(checks.namespace(name) or checks.field_name(name))
        self._mutation = f"publish{_capital(name)}"
        self._rejections = isinstance(api, NewGraphqlApi)
        if isinstance(api, NewGraphqlApi):
            self.api = _new_api(scope, schema(name, viewers), viewers)
        else:
            self.api = _own_api(scope, api, name, viewers)
        take(self.api, self._mutation)
        resource = child_of(self.api)
        self.http_dns, self.realtime_dns = resource.attr_graph_ql_dns, resource.attr_realtime_dns
        # Its name is of the API, which may have a source for another namespace.
        nowhere = appsync.NoneDataSource(scope, "Nowhere", api=self.api, name=self._mutation)
        kind, key = viewers.provider.authorization_type, json.dumps(viewers.owner)
        subscribe = SUBSCRIBE.format(where=BY[kind][1], key=key)
        for type_name, field, code in (
            ("Mutation", self._mutation, PUBLISH),
            ("Subscription", f"on{_capital(name)}", subscribe),
        ):
            appsync.Resolver(
                scope,
                type_name,
                api=self.api,
                data_source=nowhere,
                type_name=type_name,
                field_name=field,
                code=appsync.Code.from_inline(code),
                runtime=appsync.FunctionRuntime.JS_1_0_0,
            )

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` call the mutation; no more."""
        grant: iam.Grant = self.api.grant_mutation(grantee, self._mutation)
        return grant

    def metric(self, name: str, **options: Any) -> cloudwatch.Metric:
        """Return a metric of the API, such as ``ActiveConnections``.

        ``options``: of the metric. Source:
        https://docs.aws.amazon.com/appsync/latest/devguide/monitoring.html
        """
        given: dict[str, Any] = {"statistic": "Sum", "period": seconds(MINUTE)} | options
        of_api = {"GraphQLAPIId": self.api.api_id}
        return cloudwatch.Metric(
            namespace="AWS/AppSync", metric_name=name, dimensions_map=of_api, **given
        )


def schema(namespace: str, viewers: Viewers) -> str:
    """Return what a schema has to have for a namespace.

    AppSync compares a subscription's arguments with what the mutation returns, and sends clients
    what whoever calls the mutation selects. Source:
    https://docs.aws.amazon.com/appsync/latest/devguide/aws-appsync-real-time-data.html
    """
    name, directive = _capital(namespace), BY[viewers.provider.authorization_type][0]
    return f"""type Mutation {{
  publish{name}(owner: ID!, event: String!): {name}Event @aws_iam
}}
type Subscription {{
  on{name}(owner: ID!): {name}Event @aws_subscribe(mutations: ["publish{name}"]) {directive}
}}
type {name}Event @aws_iam {directive} {{
  owner: ID!
  event: String!
}}
"""


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _new_api(scope: Construct, definition: str, viewers: Viewers) -> appsync.GraphqlApi:
    """Make an API whose fields are for IAM alone unless they say more, with logs that name nobody.

    Source: https://docs.aws.amazon.com/appsync/latest/devguide/monitoring.html
    """
    by_iam = appsync.AuthorizationMode(authorization_type=appsync.AuthorizationType.IAM)
    role = iam.Role(scope, "LogRole", assumed_by=service_principal("appsync.amazonaws.com"))
    construct_id, name = names_of_api(scope, viewers)
    with TemporaryDirectory() as folder:
        file = File(folder, "schema.graphql")
        file.write_text(f"{definition}type Query {{\n  nothing: String\n}}\n", encoding="utf-8")
        api = appsync.GraphqlApi(
            scope,
            construct_id,
            name=name,
            definition=appsync.Definition.from_file(str(file)),
            authorization_config=appsync.AuthorizationConfig(
                default_authorization=by_iam,
                additional_authorization_modes=[_mode(viewers.provider)],
            ),
            xray_enabled=True,
        )
    authorizer: Any = viewers.provider.lambda_authorizer_config
    allowed = authorizer and authorizer.handler.node.try_find_child(f"{construct_id}-appsync")
    if allowed and same_stack(api, allowed):  # with the CDK's feature flag off, any API might call
        allowed.source_arn = api.arn
    group = logs.LogGroup(
        scope,
        "ApiLogs",
        log_group_name=f"/aws/appsync/apis/{api.api_id}",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    group.grant_write(role)
    # The L2's own setting adds a function that sets how long its group keeps logs.
    child_of(api).log_config = appsync.CfnGraphQLApi.LogConfigProperty(
        cloud_watch_logs_role_arn=role.role_arn,
        exclude_verbose_content=True,
        field_log_level="ERROR",
    )
    acknowledge(api, "AwsSolutions::AwsSolutions-ASC3", WHY_NOT_VERBOSE)
    return api


def _mode(provider: appsync.AppSyncAuthProvider) -> appsync.AuthorizationMode:
    """Return how a provider of an Event API is named for a GraphQL API."""
    settings: dict[str, Any] = {}
    if users := provider.cognito_config:
        settings["user_pool_config"] = appsync.UserPoolConfig(
            user_pool=users.user_pool, app_id_client_regex=users.app_id_client_regex
        )
    if oidc := provider.open_id_connect_config:
        settings["open_id_connect_config"] = appsync.OpenIdConnectConfig(
            oidc_provider=oidc.oidc_provider,
            client_id=oidc.client_id,
            token_expiry_from_auth=oidc.token_expiry_from_auth,
            token_expiry_from_issue=oidc.token_expiry_from_issue,
        )
    if function := provider.lambda_authorizer_config:
        settings["lambda_authorizer_config"] = appsync.LambdaAuthorizerConfig(
            handler=function.handler,
            results_cache_ttl=function.results_cache_ttl,
            validation_regex=function.validation_regex,
        )
    kind = appsync.AuthorizationType[provider.authorization_type.name]
    return appsync.AuthorizationMode(authorization_type=kind, **settings)


def _own_api(
    scope: Construct, api: appsync.GraphqlApi, namespace: str, viewers: Viewers
) -> appsync.GraphqlApi:
    """Return your API, if its schema has what is needed, and nobody but IAM may publish.

    Raises:
        ValueError: yours is elsewhere or imported, lacks a field or an authorization, or has
            another subscription to the same events.
    """
    here = "resolvers are made beside their API. Make this construct there."
    check_here(scope, Path(api, "api "), api, here)
    definition = child_of(api) and getattr(api.node.try_find_child("Schema"), "definition", None)
    if not definition:
        raise ValueError(
            f"The schema of {Path(api)} is not known here, so neither is who may publish. Make "
            "this construct in the app that makes the API, with a Definition.from_file()."
        )
    kinds = [mode.value for mode in api.modes]
    check_kinds(api, kinds, viewers, "authorization_config")
    wanted = schema(namespace, viewers)
    types = re.findall(r"type .+?\}", " ".join(wanted.split()))
    if lacking := [text for text in types if not _has(definition, text)]:
        raise ValueError(
            f"The schema of {Path(api)} lacks what publishes, or what clients subscribe to. Add to "
            f"the types of these names, word for word: {' '.join(lacking)}"
        )
    name = _capital(namespace)
    if _words(definition).split(" ").count(f'"publish{name}"') > 1:
        raise ValueError(
            f"The schema of {Path(api)} has a subscription besides on{name} to publish{name}, by "
            "which a client would see the events of every owner. Remove it."
        )
    return api


def _has(definition: str, wanted: str) -> bool:
    """Whether a type of a schema has the fields of another, and no more directives on them."""
    words, (head, fields) = _words(definition), _words(wanted).removesuffix(" }").split(" { ")
    if head in ("type Mutation", "type Subscription"):
        head += r"\b[^{]*"
    found = " ".join(re.findall(rf"\b{head} \{{ (.*?)\}}", words))
    return bool(re.search(rf"(^| ){re.escape(fields)} (?!@)", f"{found} "))


def _words(text: str) -> str:
    return " ".join(filter(None, WORD.findall(text)))
