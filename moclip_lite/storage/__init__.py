"""Files and the feature cache.

``files`` writes files atomically, ``digest`` remembers content digests, ``cache`` stores one file per clip
and stage under keys made in ``cache_keys``, ``plain_yaml`` reads YAML without guessing types, ``names``
prints file names that are not valid UTF-8.
"""
