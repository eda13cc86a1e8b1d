"""Processes and threads: local workers, torchrun ranks, data-parallel training."""
