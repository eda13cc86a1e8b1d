"""Data sets: labelled clips, the layouts they are read from, and how they are divided.

``clip`` has the types. Layouts: class folders (``folder``), UCF101's lists (``ucf101``), a table of prepared clips
(``manifest``), generated clips (``synthetic``). ``splits`` and ``fewshot`` divide a data set, ``prepare`` re-encodes
one, ``prompts`` puts its labels into sentences. ``extraction``, ``clip_errors`` and ``clip_notes`` are shared by the
extractors of both streams.
"""

from .clip import Clip, Fold, VideoDataset, shorten, with_groups
from .fewshot import limit_train
from .folder import load_folder
from .manifest import MANIFEST, ManifestRow, prepared_root, read_manifest, summarize
from .prepare.recipes import parse_recipe, recipe_name
from .prepare.transcode import PrepareReport, prepare
from .splits import checked, holdout_fold, leave_one_group_out, official_folds
from .synthetic.clips import SyntheticSpec, generate
from .ucf101 import check_tree, load_ucf101, read_lists
from .walk import VIDEO_SUFFIXES, FolderListing, find_videos, video_files

__all__ = [
    "MANIFEST",
    "VIDEO_SUFFIXES",
    "Clip",
    "Fold",
    "FolderListing",
    "ManifestRow",
    "PrepareReport",
    "SyntheticSpec",
    "VideoDataset",
    "check_tree",
    "checked",
    "find_videos",
    "generate",
    "holdout_fold",
    "leave_one_group_out",
    "limit_train",
    "load_folder",
    "load_ucf101",
    "official_folds",
    "parse_recipe",
    "prepare",
    "prepared_root",
    "read_lists",
    "read_manifest",
    "recipe_name",
    "shorten",
    "summarize",
    "video_files",
    "with_groups",
]
