"""Re-encoding a data set (``transcode``) with recipes that have a name (``recipes``);
``originals`` tells which clips are there already."""
