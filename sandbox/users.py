"""Users of a stack's Cognito user pool, who sign in as those of a page do."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .target import Deployment


@dataclass(frozen=True)
class User:
    """A user, with a token that says who it is."""

    id: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


def sign_up(stack: Deployment, email: str) -> User:
    """Make a user of the pool and the client in the outputs ``UserPoolId`` and ``ClientId``."""
    cognito, pool = stack.client("cognito-idp"), stack["UserPoolId"]
    password = f"Aa1!{secrets.token_hex(12)}"
    said = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    user = cognito.admin_create_user(
        UserPoolId=pool, Username=email, UserAttributes=said, MessageAction="SUPPRESS"
    )["User"]
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=email, Password=password, Permanent=True
    )
    answer = cognito.initiate_auth(
        ClientId=stack["ClientId"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    attributes = {one["Name"]: one["Value"] for one in user["Attributes"]}
    return User(attributes["sub"], email, password, answer["AuthenticationResult"]["IdToken"])
