"""Data sets: class folders, UCF101 and generated clips, and how they are divided."""

from .base import VIDEO_SUFFIXES, Clip, Fold, VideoDataset, shorten
from .fewshot import limit_train
from .folder import load_folder
from .prepare import PrepareReport, prepare
from .splits import holdout_fold, leave_one_group_out, official_folds
from .synthetic import SyntheticSpec, generate
from .ucf101 import load_ucf101

__all__ = [
    "VIDEO_SUFFIXES",
    "Clip",
    "Fold",
    "PrepareReport",
    "SyntheticSpec",
    "VideoDataset",
    "generate",
    "holdout_fold",
    "leave_one_group_out",
    "limit_train",
    "load_folder",
    "load_ucf101",
    "official_folds",
    "prepare",
    "shorten",
]
