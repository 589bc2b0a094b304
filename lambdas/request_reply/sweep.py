"""Schedule → SQS: deletes the answer queues of requesters that ended without closing them."""

from ..foundation.answer_queues import sweep

handler = sweep
