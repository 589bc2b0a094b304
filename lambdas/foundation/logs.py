"""The log of all handlers: ids, counts and reasons only, never what a customer sent."""

from aws_lambda_powertools import Logger

logger = Logger()
