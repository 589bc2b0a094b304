"""table → stream → Lambda → AppSync Events → browser;  failed changes ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Names
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.grants import grantee_here, warn_of_fixed
from ..blocks.places import check_here
from ..blocks.stacks import check_order, role_in
from ..blocks.stream_consumers import StreamConsumer, StreamReader
from ..blocks.table_streams import NewTable, check_reader, source_of, table_of
from ..blocks.values import Path, expect, expect_fields, seconds, stack_of
from ..checks import appsync as checks
from ..checks import reject
from ..checks.dynamodb import EVERY_IMAGE, IMAGES

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_

__all__ = ["Alarms", "LiveUpdates", "NewTable", "StreamConsumer", "Viewers"]

Kind = appsync.AppSyncAuthorizationType
IAM = appsync.AppSyncAuthProvider(authorization_type=Kind.IAM)
# Where a handler finds what is known of a client, by how it was authorized. Source:
# https://docs.aws.amazon.com/appsync/latest/eventapi/context-reference.html
IDENTITY = {
    Kind.USER_POOL: "claims",
    Kind.OIDC: "claims",
    Kind.LAMBDA: "handlerContext",
}
ON_SUBSCRIBE = """import {{ util }} from '@aws-appsync/utils';

// A client may subscribe to /{namespace}/<its own {owner}>, and to nothing else.
export function onSubscribe(ctx) {{
  const owner = (ctx.identity.{where} ?? {{}})[{key}];
  const segments = ctx.info.channel.segments;
  if (!owner || owner === '*' || segments.length !== 2 || segments[1] !== owner) {{
    util.unauthorized();
  }}
}}
"""
RUNBOOKS = {
    "4XXError": Runbook(
        means="AppSync rejects publications, so clients see changes late, when they fetch them.",
        see="Read the publisher's log: it has AppSync's error of each batch.",
        fix="UnauthorizedException: restore the function's permission appsync:EventPublish. "
        "Throttling: raise the quota. BadRequestException: find the channel that is none.",
        verify="4XXError falls to 0. Then replay what was given up: see FailureAlarm.",
    ),
    "BroadcastEventServerError": Runbook(
        means="AppSync took events, and failed to hand them to clients: they see the changes late, "
        "when they fetch them.",
        see="Look at AWS Health for AppSync, and compare with BroadcastEventSuccess.",
        fix="Nothing is lost: clients look for what they lack every minute. If it lasts, let them "
        "look more often (RECHECKS).",
        verify="BroadcastEventServerError falls to 0.",
    ),
}
ALARMS = {"4XXError": "RejectedPublicationsAlarm", "BroadcastEventServerError": "BroadcastAlarm"}
OF_API = ("4XXError", "5XXError", "Latency", "Requests", "TokensConsumed")


@dataclass(frozen=True, kw_only=True)
class Viewers:
    """Whom the API lets in, and which channel is whose.

    Attributes:
        provider: How clients prove who they are: a Cognito user pool, another OpenID Connect
            provider, or a Lambda authorizer. An API key is rejected.
        owner: The claim of the token, or for a Lambda authorizer the key of its
            ``handlerContext``, whose value names the client's own channel. Take one that a user
            cannot set. Default: ``sub``.

    Raises:
        ValueError: everybody would see everything.
    """

    provider: appsync.AppSyncAuthProvider
    owner: str = "sub"

    def __post_init__(self) -> None:
        """Reject what does not tell clients apart.

        Source: https://docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth.html
        """
        expect_fields(self, provider=(appsync.AppSyncAuthProvider,), owner=(str,))
        kind = self.provider.authorization_type
        reject(checks.api_key("provider", [kind.value]))
        if kind not in IDENTITY:
            raise ValueError(
                f"provider is {kind.value}, with which the server publishes. Give clients a user "
                "pool, OpenID Connect or a Lambda authorizer."
            )
        if not self.owner:
            raise ValueError("owner is empty, so no channel would be anybody's. Name a claim.")


class LiveUpdates(Construct):
    """Show each client the changes of its own items at once, in a browser as well.

    The write is the event: the table's stream hands each change to ``publisher``, which publishes
    it to the channel ``/<namespace>/<owner>``. Only that function may publish, and a client may
    subscribe to its own channel only. AppSync keeps nothing: what a client misses while it is
    offline it fetches from your API, by the version that each event has; ``page/live.js`` and
    ``client.py`` do both. What cannot be published is named in the failure queue, which raises an
    alarm.

    Args:
        publisher: Function or alias that publishes the changes, or with its settings.
        viewers: Who may see what.
        namespace: First segment of every channel: 1 to 50 letters, digits or inner dashes.
            Default: ``orders``.
        table: Your own table with a stream, of this account and Region, or the settings of a new
            one.
        api: Your own Event API that authorizes the viewers and IAM. Default: a new one.
        alarms: What the alarms do. ``max_age`` is the age of a change that is not yet published.
            Default: 15 minutes.

    Attributes:
        table: Whose changes are published.
        api: The Event API; ``http_dns`` is where the function publishes, ``realtime_dns`` where
            clients connect.
        channel_namespace: The channels.
        reader: The function's place in the stream, with its failure queue.
        alarms: Of the reader, and on publications that AppSync rejects.

    Raises:
        ValueError: a configuration that would fail, lose changes or show them to others; the
            message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        publisher: lambda_.IFunction | StreamConsumer,
        viewers: Viewers,
        namespace: str = "orders",
        table: dynamodb.ITable | NewTable = NewTable(),
        api: appsync.IEventApi | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("viewers", viewers, Viewers)
        expect("table", table, "ITable", NewTable)
        expect("api", api, "IEventApi", None)
        expect("alarms", alarms, Alarms)
        reject(checks.namespace(namespace))
        publisher, alarms = StreamConsumer.of(publisher), alarms.of_pattern(__name__)
        if not isinstance(table, NewTable):
            check_order(self, Path(table, "table "), table)
        self.table = table_of(self, "Table", table)
        _check_images(self.table)
        check_reader(self.table, "The publisher", publisher)
        self.api = _new_api(self, viewers) if api is None else _own_api(self, api, viewers)
        self.channel_namespace = _channels(self, self.api, namespace, viewers)
        self._namespace = namespace
        self.reader = StreamReader(
            self, "Publisher", source=source_of(self.table), consumer=publisher, alarms=alarms
        )
        role = role_in(self, publisher.function)
        self._grant_publish(role).apply_before(self.reader.event_source_mapping)
        self._given = (self.table, self.api, publisher.function)
        self.alarms = [*self.reader.alarms, *_alarms(self, alarms)]

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` publish to the channels of the namespace; no more."""
        return self._grant_publish(grantee_here(self, grantee, self._given))

    def _grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        warn_of_fixed(grantee, f"publishing to {self._namespace} of {Path(self.api)}")
        return self.channel_namespace.grant_publish(grantee)

    def metric(self, name: str, **options: Any) -> cloudwatch.Metric:
        """Return a metric of the API or of the namespace, such as ``ActiveConnections``.

        ``options``: of the metric. Source:
        https://docs.aws.amazon.com/appsync/latest/eventapi/cw-metrics.html
        """
        dimensions = {"EventAPIId": self.api.api_id}
        if name not in OF_API:
            dimensions["ChannelNamespaceName"] = self._namespace
        given: dict[str, Any] = {"statistic": "Sum", "period": seconds(MINUTE)} | options
        return cloudwatch.Metric(
            namespace="AWS/AppSync",
            metric_name=name,
            dimensions_map=dimensions,
            **given,
        )


def _check_images(table: dynamodb.ITable) -> None:
    """Reject a stream that does not say what an item is now; of some tables it is not known.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_StreamSpecification.html
    """
    resource = table.node.default_child
    if isinstance(resource, dynamodb.CfnTable):
        said = stack_of(table).resolve(resource.stream_specification) or {}
        view = str(said.get("streamViewType"))
        if "NewImage" not in IMAGES.get(view, EVERY_IMAGE):
            raise ValueError(
                f"The stream of {Path(table)} has {view}, so nothing says what a changed item is "
                "now, and no change would be shown. Set its StreamViewType to NEW_IMAGE."
            )


def _new_api(scope: Construct, viewers: Viewers) -> appsync.EventApi:
    """Make an API that viewers connect to, and that IAM alone publishes to. It has no key."""
    kind = viewers.provider.authorization_type
    return appsync.EventApi(
        scope,
        "Api",
        api_name=Names.unique_resource_name(scope, max_length=50, separator="-"),
        authorization_config=appsync.EventApiAuthConfig(
            auth_providers=[viewers.provider, IAM],
            connection_auth_mode_types=[kind],
            default_publish_auth_mode_types=[Kind.IAM],
            default_subscribe_auth_mode_types=[kind],
        ),
    )


def _own_api(scope: Construct, api: appsync.IEventApi, viewers: Viewers) -> appsync.IEventApi:
    """Return your API, if the namespace can be made there.

    Raises:
        ValueError: it is elsewhere, lets anybody in, or does not authorize the viewers or IAM.
    """
    here = "a namespace is made beside its API. Make this construct there."
    check_here(scope, Path(api, "api "), api, here)
    check_order(scope, Path(api, "api "), api)
    kinds = [kind.value for kind in api.auth_provider_types]
    reject(checks.api_key(Path(api), kinds))
    for kind in (viewers.provider.authorization_type, Kind.IAM):
        if kind.value not in kinds:
            raise ValueError(
                f"{Path(api)} authorizes by {', '.join(kinds) or 'nothing that is known'}, but "
                f"{kind.value} is needed: IAM to publish, viewers.provider to subscribe. Add it to "
                "auth_providers; an imported API says them in auth_provider_types."
            )
    return api


def _channels(
    scope: Construct, api: appsync.IEventApi, namespace: str, viewers: Viewers
) -> appsync.ChannelNamespace:
    """Make the namespace, whose code lets a client subscribe to its own channel only.

    Source: https://docs.aws.amazon.com/appsync/latest/eventapi/channel-namespace-handlers.html
    """
    kind, owner = viewers.provider.authorization_type, viewers.owner
    code = ON_SUBSCRIBE.format(
        namespace=namespace, owner=owner, where=IDENTITY[kind], key=json.dumps(owner)
    )
    return appsync.ChannelNamespace(
        scope,
        "Channels",
        api=api,
        channel_namespace_name=namespace,
        code=appsync.Code.from_inline(code),
        authorization_config=appsync.NamespaceAuthConfig(
            publish_auth_mode_types=[Kind.IAM], subscribe_auth_mode_types=[kind]
        ),
    )


def _alarms(live: LiveUpdates, alarms: Alarms) -> list[cloudwatch.Alarm]:
    """Go off when AppSync takes no publications, or does not hand them on."""
    return [
        alarms.above(live, ALARMS[name], live.metric(name), runbook, evaluation_periods=5)
        for name, runbook in RUNBOOKS.items()
    ]
