"""Confidence intervals and significance tests of accuracies on test clips.

Clips of one group (a source video, a person) are correlated: groups are resampled whole where they are
known, and so are all tests of one clip. Treating the 13,320 clips of UCF101 as independent would make
intervals too narrow. Every interval contains its estimate, which a percentile bootstrap of a skewed
statistic does not guarantee.
"""

from .accuracy import accuracy_interval, macro_interval
from .bootstrap import bootstrap_interval, paired_bootstrap
from .intervals import Interval, mean_interval, wilson
from .samples import Units, joined_units, units_of
from .significance import McNemar, Verdict, holm, mcnemar, permutation_p, verdict

__all__ = [
    "Interval",
    "McNemar",
    "Units",
    "Verdict",
    "accuracy_interval",
    "bootstrap_interval",
    "holm",
    "joined_units",
    "macro_interval",
    "mcnemar",
    "mean_interval",
    "paired_bootstrap",
    "permutation_p",
    "units_of",
    "verdict",
    "wilson",
]
