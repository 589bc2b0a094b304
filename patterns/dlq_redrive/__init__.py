"""The pattern: a queue whose dead letters are looked after."""
