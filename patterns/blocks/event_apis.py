"""An Event API of AWS AppSync, whose clients each see a channel of their own: new, or yours."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aws_cdk import Names
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cloudwatch as cloudwatch

from ..checks import appsync as checks
from ..checks import reject
from ..limits import APPSYNC_API_NAME
from .alarms import MINUTE, Alarms, Runbook
from .places import check_here
from .values import Path, child_of, expect_fields, seconds, stack_of

if TYPE_CHECKING:
    from aws_cdk import aws_cognito as cognito
    from aws_cdk import aws_iam as iam
    from constructs import Construct

Kind = appsync.AppSyncAuthorizationType
IAM = appsync.AppSyncAuthProvider(authorization_type=Kind.IAM)
# How a client is authorized: the type in a template, and where a handler finds who it is. Source:
# https://docs.aws.amazon.com/appsync/latest/eventapi/context-reference.html
IDENTITY = {
    Kind.USER_POOL: ("AMAZON_COGNITO_USER_POOLS", "claims"),
    Kind.OIDC: ("OPENID_CONNECT", "claims"),
    Kind.LAMBDA: ("AWS_LAMBDA", "handlerContext"),
}
ON_SUBSCRIBE = """import {{ util }} from '@aws-appsync/utils';

// A client may subscribe to /{namespace}/<its own {key}>, and to nothing else.
export function onSubscribe(ctx) {{
  const owner = (ctx.identity.{where} ?? {{}})[{key}];
  const segments = ctx.info.channel.segments;
  if (!owner || owner === '*' || segments.length !== 2 || segments[1] !== owner) {{
    util.unauthorized();
  }}
}}
"""
# What the constructs made here have added to an API.
_TAKEN: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
OF_API = ("4XXError", "5XXError", "Latency", "Requests", "TokensConsumed")


@dataclass(frozen=True)
class NewEventApi:
    """A new Event API, which viewers connect to, and IAM alone publishes to. It has no key."""


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

    @classmethod
    def of_user_pool(cls, users: cognito.IUserPool, owner: str = "sub") -> Viewers:
        """Return those who sign in at a Cognito user pool."""
        config = appsync.AppSyncCognitoConfig(user_pool=users)
        provider = appsync.AppSyncAuthProvider(
            authorization_type=Kind.USER_POOL, cognito_config=config
        )
        return cls(provider=provider, owner=owner)

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


class Channels(ABC):
    """Where the events of a namespace are published, each for its owner alone.

    Attributes:
        api: AppSync's API.
        http_dns: Domain name at which a function publishes.
        realtime_dns: Domain name at which clients connect.
    """

    api: Any
    http_dns: str
    realtime_dns: str
    _broadcasts = "BroadcastEvent"  # what became of events, by how their metrics begin
    _rejections = True  # whether 4XXError counts publications, and nothing else

    @abstractmethod
    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` publish to the namespace; no more."""

    @abstractmethod
    def metric(self, name: str, **options: Any) -> cloudwatch.Metric:
        """Return a metric of the API or of the namespace, such as ``ActiveConnections``."""

    def alarms(self, scope: Construct, alarms: Alarms) -> list[cloudwatch.Alarm]:
        """Make alarms on publications that AppSync rejects, or does not hand to clients."""
        rows = [
            ("RejectedPublicationsAlarm", "4XXError", Runbook(
                means="AppSync rejects publications, so clients see changes late, when they fetch "
                "them.",
                see="Read the publisher's log: it has AppSync's error of each batch.",
                fix="UnauthorizedException: restore the function's permission to publish "
                "(appsync:EventPublish; of a GraphQL API, appsync:GraphQL). Throttling: raise the "
                "quota. BadRequestException: find the invalid channel.",
                verify="4XXError falls to 0. Then replay what was discarded: see FailureAlarm.",
            )),
            ("BroadcastAlarm", f"{self._broadcasts}ServerError", Runbook(
                means="AppSync accepted events, but failed to broadcast them to clients, which see "
                "the changes late, when they fetch them.",
                see="Check the AWS Health Dashboard for AppSync, and compare with "
                f"{self._broadcasts}Success.",
                fix="Nothing is lost: clients look for what they lack every five minutes. If it "
                "lasts, let them look more often (Live.rechecks).",
                verify=f"{self._broadcasts}ServerError falls to 0.",
            )),
        ]  # fmt: skip
        return [
            alarms.above(scope, name, self.metric(metric), runbook, evaluation_periods=5)
            for name, metric, runbook in (rows if self._rejections else rows[1:])
        ]


class EventChannels(Channels):
    """A channel namespace of an Event API, new or yours.

    Attributes:
        namespace: The channels.
    """

    def __init__(
        self, scope: Construct, api: appsync.IEventApi | NewEventApi, name: str, viewers: Viewers
    ) -> None:
        self.api = event_api_of(scope, api, viewers)
        self.http_dns, self.realtime_dns = self.api.http_dns, self.api.realtime_dns
        self.namespace = new_channels(scope, self.api, name, viewers)
        self._name = name

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` publish to the namespace; no more."""
        return self.namespace.grant_publish(grantee)

    def metric(self, name: str, **options: Any) -> cloudwatch.Metric:
        """Return a metric: see ``metric`` of this module."""
        return metric(self.api, self._name, name, **options)


def event_api_of(
    scope: Construct, api: appsync.IEventApi | NewEventApi, viewers: Viewers
) -> appsync.IEventApi:
    """Make an Event API, or return yours, if viewers connect to it and IAM publishes.

    Raises:
        ValueError: yours is elsewhere, lets anybody in, or does not authorize the viewers or IAM.
    """
    if isinstance(api, NewEventApi):
        return _new_api(scope, viewers)
    return _own_api(scope, api, viewers)


def _new_api(scope: Construct, viewers: Viewers) -> appsync.EventApi:
    """Make an API that viewers connect to, and that IAM alone publishes to. It has no key."""
    kind = viewers.provider.authorization_type
    construct_id, name = names_of_api(scope, viewers)
    return appsync.EventApi(
        scope,
        construct_id,
        api_name=name,
        authorization_config=appsync.EventApiAuthConfig(
            auth_providers=[viewers.provider, IAM],
            connection_auth_mode_types=[kind],
            default_publish_auth_mode_types=[Kind.IAM],
            default_subscribe_auth_mode_types=[kind],
        ),
    )


def names_of_api(scope: Construct, viewers: Viewers) -> tuple[str, str]:
    """Return the id and the name of a new API.

    By the id the CDK names the permission below a function that authorizes: two APIs may have one.
    """
    name = Names.unique_resource_name(scope, max_length=APPSYNC_API_NAME, separator="-")
    return name if viewers.provider.authorization_type is Kind.LAMBDA else "Api", name


def _own_api(scope: Construct, api: appsync.IEventApi, viewers: Viewers) -> appsync.IEventApi:
    here = "a namespace is made beside its API. Make this construct there."
    check_here(scope, Path(api, "api "), api, here)
    kinds, viewer = [kind.value for kind in api.auth_provider_types], viewers.provider
    reject(checks.api_key(Path(api), kinds))
    where = "auth_providers; an imported API says them in auth_provider_types"
    check_kinds(api, kinds, viewers, where)
    config: Any = stack_of(api).resolve(getattr(child_of(api), "event_config", None)) or {}
    modes = [mode["authType"] for mode in config.get("connectionAuthModes", ())]
    if config and IDENTITY[viewer.authorization_type][0] not in modes:
        raise ValueError(
            f"No viewer can connect to {Path(api)}: it lets {', '.join(modes)} connect. Add "
            f"{viewer.authorization_type.value} to its connection_auth_mode_types."
        )
    return api


def check_kinds(api: Any, kinds: list[str], viewers: Viewers, where: str) -> None:
    """Reject an API of yours that viewers cannot subscribe to, or IAM cannot publish to.

    Several user pools, or providers of OpenID Connect, would each name owners: code cannot tell
    which of them AppSync asked.

    Raises:
        ValueError: there is none that is needed, or several.
    """
    if kinds.count(theirs := viewers.provider.authorization_type.value) > 1:
        raise ValueError(
            f"{Path(api)} authorizes by several {theirs}, so a client of one could pass as an "
            f"owner that another names. Leave one in {where}, or give the viewers a new API."
        )
    for kind in (theirs, Kind.IAM.value):
        if kind not in kinds:
            raise ValueError(
                f"{Path(api)} authorizes by {', '.join(kinds) or 'nothing that is known'}, but "
                f"{kind} is needed: IAM to publish, viewers.provider to subscribe. Add it to "
                f"{where}."
            )


def take(api: Any, name: str) -> None:
    """Reject a second construct that would add the same to an API, as CloudFormation would.

    Raises:
        ValueError: another has added it.
    """
    if name in (taken := _TAKEN.setdefault(api, set())):
        raise ValueError(
            f"{Path(api)} has {name} of another construct already. Give each its own namespace."
        )
    taken.add(name)


def new_channels(
    scope: Construct, api: appsync.IEventApi, namespace: str, viewers: Viewers
) -> appsync.ChannelNamespace:
    """Make a namespace, whose code lets a client subscribe to its own channel only.

    Source: https://docs.aws.amazon.com/appsync/latest/eventapi/channel-namespace-handlers.html
    """
    reject(checks.namespace(namespace))
    take(api, namespace)
    kind, key = viewers.provider.authorization_type, json.dumps(viewers.owner)
    code = ON_SUBSCRIBE.format(namespace=namespace, where=IDENTITY[kind][1], key=key)
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


def metric(api: appsync.IEventApi, namespace: str, name: str, **options: Any) -> cloudwatch.Metric:
    """Return a metric of the API or of the namespace, such as ``ActiveConnections``.

    ``options``: of the metric. Source:
    https://docs.aws.amazon.com/appsync/latest/eventapi/cw-metrics.html
    """
    dimensions = {"EventAPIId": api.api_id}
    if name not in OF_API:
        dimensions["ChannelNamespaceName"] = namespace
    given: dict[str, Any] = {"statistic": "Sum", "period": seconds(MINUTE)} | options
    return cloudwatch.Metric(
        namespace="AWS/AppSync", metric_name=name, dimensions_map=dimensions, **given
    )
