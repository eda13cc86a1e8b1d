"""Files and the feature cache: atomic writes, digests, cache keys."""
