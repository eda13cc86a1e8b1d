"""Generated clips for tests and the demo: the data set (``clips``) and its pictures (``pictures``)."""
