"""What ``--append-rules`` loads: ``serverless_patterns.lint.rules``, or the path of this folder."""

from .event_loss import *  # noqa: F403 - each rule is a class there, by its id
