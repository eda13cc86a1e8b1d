"""Rules on settings: those without effect, changed after training, decided by a run, or naming paths."""
