"""Runs events that a function could not process again: asynchronous ones, and those of a stream."""
