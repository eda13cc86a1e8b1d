"""Preparation of data sets: re-encoding by recipe."""
