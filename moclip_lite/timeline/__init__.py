"""Labels over the time of a long video: windows slide over it, their scores are joined into segments.

Import from the modules: ``moclip_lite.timeline.scorer.WindowScorer`` for streams,
``moclip_lite.timeline.timeline.Timeline`` for the result. Importing this package loads nothing.
"""
