"""What the handlers of several patterns share."""
