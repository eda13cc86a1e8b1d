"""MobileViCLIP (ICCV 2025, arXiv 2508.07312): a video-text model small enough for phones.

:func:`create_mobileviclip` creates a model by name. ARCHITECTURE.md lists what is as published and what was
decided here because upstream's choice is unknown.
"""

from .config import VARIANTS, MobileViClipConfig
from .importers import ImportReport, import_checkpoint
from .model import MobileViCLIP, build, variant
from .weights import TAGS, create_mobileviclip, load_model, save_model

__all__ = [
    "TAGS",
    "VARIANTS",
    "ImportReport",
    "MobileViCLIP",
    "MobileViClipConfig",
    "build",
    "create_mobileviclip",
    "import_checkpoint",
    "load_model",
    "save_model",
    "variant",
]
