"""Re-encoding a data set (``transcode``) with recipes that have a name (``recipes``)."""
