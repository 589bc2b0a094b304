"""AppSync Events: APIs and namespaces in templates, what a token says, and a namespace's code."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from ._forward import around, ministack, resources, succeeded

GAPS = {
    "appsync-events-handlers": "The code of a channel namespace is not run: a client may subscribe "
    "to every channel.",
    "appsync-events-publish-permission": "Any principal may publish, whatever its policies say.",
    "appsync-events-template": "An Event API and a channel namespace in a template are refused.",
    "appsync-events-tokens": "The token of a client is not verified.",
}
# The engine runs the two functions of a resolver.
AS_RESOLVER = "\nexport function request(ctx) { return onSubscribe(ctx); }\n"
SERVICE, SUBSCRIBE = "services.appsync_events", "EVENT_SUBSCRIBE"


def template() -> None:
    """Forward an API and its namespaces to the service's own control plane."""
    events = ministack(SERVICE)

    def api(_id: str, properties: dict[str, Any], _stack: str) -> Any:
        answer = events._create_api(json.dumps(_as_api(properties)))
        made = json.loads(succeeded("AWS::AppSync::Api", answer))["api"]
        dns = {f"Dns.{name.capitalize()}": host for name, host in made["dns"].items()}
        return made["apiId"], {"ApiId": made["apiId"], "ApiArn": made["apiArn"], **dns}

    def namespace(_id: str, properties: dict[str, Any], _stack: str) -> Any:
        given = _as_api(properties)
        answer = events._create_channel_namespace(given.pop("apiId"), json.dumps(given))
        made = json.loads(succeeded("AWS::AppSync::ChannelNamespace", answer))
        arn = made["channelNamespace"]["channelNamespaceArn"]
        return arn, {"ChannelNamespaceArn": arn}

    def remove(arn: str, properties: dict[str, Any]) -> None:
        events._delete_channel_namespace(properties["ApiId"], arn.rsplit("/", 1)[-1])

    def remove_api(api: str, _properties: dict[str, Any]) -> None:
        events._delete_api(api)

    resources()["AWS::AppSync::Api"] = {"create": api, "delete": remove_api}
    resources()["AWS::AppSync::ChannelNamespace"] = {"create": namespace, "delete": remove}


def _as_api(value: Any) -> Any:
    """Return a template's value under the names of the API, which begin in lower case."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: _as_api(one) for name, one in value.items()}
    return [_as_api(one) for one in value] if isinstance(value, list) else value


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says, if Cognito signed it and it is not over."""
    if not ministack("services.cognito")._signature_valid(token):
        return {}
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims if claims["exp"] > time.time() else {}


def tokens() -> None:
    """Forward a client's token to Cognito, which verifies it, of the pool that the API trusts."""
    events = ministack(SERVICE)

    @around(events, "_modes_accept")
    def accept(original: Any, api: str, modes: set[str], auth: Any) -> tuple[bool, str | None]:
        accepted: tuple[bool, str | None] = original(api, modes, auth)
        token = str((auth or {}).get("Authorization", ""))
        if not accepted[0] or token.startswith("AWS4-") or not token:
            return accepted
        known = json.dumps(events._apis[api]["eventConfig"]["authProviders"])
        pool = _claims(token).get("iss", "").rsplit("/", 1)[-1]
        return (True, None) if pool and f'"{pool}"' in known else (False, None)


def handlers() -> None:
    """Forward a subscription to the namespace's code, run as the code of resolvers is."""
    events, engine = ministack(SERVICE), ministack("core.appsync_js")

    @around(events, "_authorize_event_op")
    async def authorize(original: Any, api: str, channel: str, operation: str, auth: Any,
                        *args: Any) -> Any:  # fmt: skip
        answer = await original(api, channel, operation, auth, *args)
        namespace = events._channel_namespaces[api].get(events._channel_namespace_for(channel), {})
        code = namespace.get("codeHandlers")
        if not answer[0] or operation != SUBSCRIBE or not code:
            return answer
        claims = _claims(str(auth.get("Authorization", "")))
        info = {"channel": {"path": channel, "segments": events._split_channel(channel)}}
        context = {"identity": {"sub": claims.get("sub"), "claims": claims}, "info": info}
        try:
            engine.evaluate(code + AS_RESOLVER, "request", context)
        except engine.AppSyncJsError as error:
            return False, str(error)
        return answer


def publish_permission() -> None:
    """Forward to IAM's evaluation which action a publication is, and on which namespace."""
    actions = ministack("core.iam_actions")

    @around(actions, "extract_iam_action")
    def action(original: Any, service: str, method: str, path: str, *args: Any) -> Any:
        if service == "appsync-events" and path == "/event":
            return "appsync:EventPublish"
        return original(service, method, path, *args)

    @around(actions, "extract_resource_arn")
    def arn(original: Any, service: str, method: str, path: str, *args: Any) -> Any:
        if service != "appsync-events" or path != "/event":
            return original(service, method, path, *args)
        headers, body = args[0], args[1]
        api = headers["host"].split(".")[0]
        name = str(json.loads(body or b"{}").get("channel", "")).strip("/").split("/")[0]
        return ministack(SERVICE)._channel_namespace_arn(api, name)


SHIMS = {
    "appsync-events-handlers": handlers,
    "appsync-events-publish-permission": publish_permission,
    "appsync-events-template": template,
    "appsync-events-tokens": tokens,
}
