"""Data sets: labelled clips, the layouts they are read from, and how they are divided.

``clip`` has the types. Layouts: class folders (``folder``), UCF101's lists (``ucf101``), annotation tables
with segments of long videos (``table``), a table of prepared clips (``manifest``), generated clips
(``synthetic``). ``splits`` and ``fewshot`` divide a data set, ``prepare`` re-encodes one, ``prompts`` puts
its labels into sentences. ``extraction``, ``clip_errors`` and ``clip_notes`` are shared
by the extractors of both streams.
"""

from .clip import Clip, Fold, VideoDataset
from .folder import load_folder
from .splits import holdout_fold, k_folds, leave_one_group_out, official_folds
from .synthetic.clips import SyntheticSpec, generate
from .ucf101 import load_ucf101

__all__ = [
    "Clip",
    "Fold",
    "SyntheticSpec",
    "VideoDataset",
    "generate",
    "holdout_fold",
    "k_folds",
    "leave_one_group_out",
    "load_folder",
    "load_ucf101",
    "official_folds",
]
