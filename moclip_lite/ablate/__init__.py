"""Ablations: grids of configurations x seeds with one cache; tables, paired comparisons, figures."""

from .grid import Ablation, cell_words, load_ablation
from .run import AblationResult, run_ablation
from .summary import difference_table, mean_table
from .tables import condense, records

__all__ = [
    "Ablation",
    "AblationResult",
    "cell_words",
    "condense",
    "difference_table",
    "load_ablation",
    "mean_table",
    "records",
    "run_ablation",
]
