"""The same for a FIFO queue: one by one, and nothing behind a failure of its group."""

from ..foundation import batch, claims
from .catalogs import parse, work

handler = batch.handler(parse, batch.one_by_one(work, fifo=True), fifo=True, report=claims.finish)
