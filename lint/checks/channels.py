"""Channels of AWS AppSync Events that clients are cut off from."""

from __future__ import annotations

from serverless_patterns.patterns.checks import appsync

from ..template import Finding, Findings, Scenario, rule


@rule("W9221", "appsync", shared=appsync.api_key)
def events_by_api_key(scenario: Scenario) -> Findings:
    """An Event API should not authorize by an API key.

    Who reads the page has the key, and with it every channel; when it expires, no client connects.
    Authorize by a user pool, OpenID Connect or a function, and publish by IAM.

    Source: https://docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth.html
    """
    for api in scenario.of("AWS::AppSync::Api"):
        for at, one in enumerate(api.get("EventConfig.AuthProviders") or ()):
            kinds = [str(one.get("AuthType"))] if isinstance(one, dict) else []
            path = ("EventConfig", "AuthProviders", at)
            yield Finding(api, appsync.api_key(api, kinds), path)
