"""API Gateway → DynamoDB → SQS or Step Functions: accepts a job, and says how it is."""

from ..foundation import fronts, statuses
from . import store

handler = fronts.handler(fronts.Store(store.accept, statuses.items, store.hand_over, store.look))
