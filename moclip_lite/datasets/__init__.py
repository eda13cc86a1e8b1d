"""Data sets: class folders, UCF101 and generated clips, and how they are divided."""

from .clip import (
    Clip,
    Fold,
    VideoDataset,
    shorten,
    with_groups,
)
from .fewshot import limit_train
from .folder import load_folder
from .prepare.dataset import PrepareReport, prepare
from .prepare.recipes import parse_recipe, recipe_name
from .splits import (
    checked,
    holdout_fold,
    leave_one_group_out,
    official_folds,
)
from .synthetic.clips import SyntheticSpec, generate
from .table import (
    MANIFEST,
    ManifestRow,
    prepared_root,
    read_manifest,
)
from .ucf101 import check_tree, load_ucf101, read_lists
from .walk import (
    VIDEO_SUFFIXES,
    Found,
    find_videos,
    video_files,
)

__all__ = [
    "MANIFEST", "VIDEO_SUFFIXES", "Clip", "Fold", "Found", "ManifestRow", "PrepareReport", "SyntheticSpec", "VideoDataset",
    "check_tree", "checked", "find_videos", "generate", "holdout_fold", "leave_one_group_out", "limit_train", "load_folder", "load_ucf101",
    "official_folds", "parse_recipe", "prepare", "prepared_root", "read_lists", "read_manifest", "recipe_name", "shorten", "video_files", "with_groups",
]  # fmt: skip
