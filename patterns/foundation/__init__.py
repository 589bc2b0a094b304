"""The few building blocks that patterns share."""
