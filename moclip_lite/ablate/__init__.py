"""Grids of configurations x seeds over one cache: tables, comparisons on the same clips, figures."""

from .grid import Ablation, load_ablation
from .run import AblationResult, run_ablation
from .tables import condense, records

__all__ = ["Ablation", "AblationResult", "condense", "load_ablation", "records", "run_ablation"]
