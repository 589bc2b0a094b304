"""API Gateway → DynamoDB: writes an order down, answers at once, and says how it is when asked.

The one item is the order, its status, and its outbox: the relay reads it from the table's stream.
So there is no second write that a crash could lose.
"""

from ..foundation import fronts, statuses
from . import store

handler = fronts.handler(fronts.Store(store.accept, statuses.items))
