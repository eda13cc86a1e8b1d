"""Appearance stream: features of a few frames of each clip from a frozen CLIP.

``encoder`` has the interface of the models in ``open_clip`` and ``mobileviclip``, ``weights`` how given
weights were trained. ``frames`` reads the frames of a clip, ``extract`` fills the cache, ``zero_shot``
compares frames with sentences.
"""
