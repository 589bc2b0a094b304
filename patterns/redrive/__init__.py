"""Sends events that a function could not process asynchronously to it again."""
