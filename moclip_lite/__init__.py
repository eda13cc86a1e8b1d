"""Action recognition from the compressed stream: motion vectors, a frozen CLIP, late fusion.

>>> from moclip_lite import Classifier
>>> clf = Classifier.load("runs/x")             # doctest: +SKIP
>>> clf.predict("clip.mp4", top_k=5)             # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predict.classifier import Classifier, Prediction

    __version__: str

__all__ = ["Classifier", "Prediction", "__version__"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import; worker processes and `moclip --help` do without.
    if name == "__version__":
        from .versions import package_version

        return package_version()
    if name in __all__:
        from .predict import classifier as predict

        return getattr(predict, name)
    raise AttributeError(f"module 'moclip_lite' has no attribute {name!r}")
