"""What a stack's policies allow, asked of a policy engine: see ``tests/contracts``."""
