"""SQS → DynamoDB → SQS: price quotes, each stored once and answered as often as it is asked for."""

from ..foundation import loops, responding
from . import logic, store

handler = responding.handler(logic.quote, store.keep)
in_order = responding.handler(logic.quote, store.keep, fifo=True)

if __name__ == "__main__":  # a program for a container, in place of a function
    loops.main(in_order)
