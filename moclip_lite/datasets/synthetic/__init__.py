"""Generated clips for tests and the demo."""
