"""What the patterns are built of. Each block can be used alone."""
