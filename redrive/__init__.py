"""Takes dead letters back to whom they were meant for: from queues and buckets of any stack."""
