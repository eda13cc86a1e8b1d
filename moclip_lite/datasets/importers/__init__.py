"""Conversion of annotation tools' exports to annotation tables (:mod:`moclip_lite.datasets.table`).

A module per tool; each returns the annotations of a file, with videos as the tool names them. ``convert``
finds these on the disk and writes the table.
"""
