"""The same for a FIFO queue: one by one, and nothing behind a failure of its group."""

from ..foundation import batch
from .catalogs import finish, parse, work

handler = batch.handler(parse, batch.one_by_one(work, fifo=True), fifo=True, report=finish)
