"""Figures of the project, measured side by side; no test depends on them."""
