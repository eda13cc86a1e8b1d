"""Search of the motion stream's settings on validation clips; Optuna proposes, test clips are never read."""

from .budget import Budget
from .search import TuneResult, tune
from .space import DEFAULT_SPACE, Space, read_space

__all__ = ["DEFAULT_SPACE", "Budget", "Space", "TuneResult", "read_space", "tune"]
