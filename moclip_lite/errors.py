"""The exceptions of moclip_lite; the command line turns each into one sentence and exit code 2.

::

    MoclipError
    ├── ConfigError          a configuration that can't be used
    ├── DataError            a data set that can't be used
    ├── CacheUnavailable     a cache folder that can't be used
    ├── CheckpointError      weights or a run folder that don't fit
    └── WeightsUnavailable   pretrained weights that can't be had
"""

__all__ = [
    "CacheUnavailable",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "MoclipError",
    "WeightsUnavailable",
]


class MoclipError(Exception):
    """Root of what moclip_lite raises about a user's input."""


class ConfigError(MoclipError):
    """The configuration has an unknown key or a value out of range; the message names it."""


class DataError(MoclipError):
    """The data set is empty, incomplete or contradicts itself; the message says where."""


class CacheUnavailable(MoclipError):
    """The cache folder can't be read or written; the message says how to name another."""


class CheckpointError(MoclipError):
    """A weights file or run folder is damaged, or was made for something else."""


class WeightsUnavailable(MoclipError):
    """Pretrained weights can't be loaded here; the message says what to do instead."""
