"""Video retrieval by sentences: windows, index, search and evaluation."""

from .encode import WindowSpec
from .evaluate import evaluate_retrieval
from .index import VideoIndex, build_index
from .index_file import load_index, save_index
from .scores import dual_softmax, retrieval_scores
from .search import EXACT_LIMIT, Hit, nearest, search
from .shots import find_cuts
from .windows import Window, cut_windows, video_windows

__all__ = [
    "EXACT_LIMIT",
    "Hit",
    "VideoIndex",
    "Window",
    "WindowSpec",
    "build_index",
    "cut_windows",
    "dual_softmax",
    "evaluate_retrieval",
    "find_cuts",
    "load_index",
    "nearest",
    "retrieval_scores",
    "save_index",
    "search",
    "video_windows",
]
