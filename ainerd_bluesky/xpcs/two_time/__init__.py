"""Two-time maps: every frame with every other, dense or from events."""
