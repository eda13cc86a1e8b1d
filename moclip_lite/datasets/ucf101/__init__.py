"""UCF101: ``lists`` reads its lists, ``load`` finds the clips, ``published`` compares with the original."""

from .lists import SplitLists, group_in_name, read_lists
from .load import load_ucf101
from .published import check_tree

__all__ = ["SplitLists", "check_tree", "group_in_name", "load_ucf101", "read_lists"]
