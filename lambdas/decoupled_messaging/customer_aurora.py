"""API Gateway → Aurora: writes an order and its outbox in one statement, and answers at once."""

from ..foundation import fronts
from . import aurora

handler = fronts.handler(fronts.Store(aurora.accept, aurora.items))
