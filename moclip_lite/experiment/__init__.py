"""Experiments: configuration, stages of a fold, runs and their evaluation."""
