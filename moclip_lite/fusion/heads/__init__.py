"""Fusion heads, one idea a file; their names are in :mod:`moclip_lite.fusion.registry`."""
