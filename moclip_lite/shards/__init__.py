"""Shards: the clips of a data set, their labels, divisions and features, in a few Parquet files and an index.

One file a clip is too many for millions of clips. ``index`` says what a folder of shards holds, ``write``
makes it, ``read`` reads rows of it; none of them knows what the columns mean.
"""
