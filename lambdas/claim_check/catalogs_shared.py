"""The same behind a topic, whose bodies have other readers: it deletes none."""

from ..foundation import batch
from .catalogs import parse, write

handler = batch.handler(parse, write)
