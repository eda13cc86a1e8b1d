"""Networks as ONNX files, each compared with PyTorch before it takes its name.

Opset 20, the first with GELU as one operation (spelt out with Erf the video encoders take 1.3 to 1.5 times
as long in ONNX Runtime), batch size dynamic, everything else fixed. What a user of a file must know (labels,
kind of scores, views, preprocessing) stands in its metadata, as JSON.
"""

from .classifier import export_classifier
from .network import OPSET, TOLERANCE, Exported, export_network
from .videotext import export_mobileviclip

__all__ = ["OPSET", "TOLERANCE", "Exported", "export_classifier", "export_mobileviclip", "export_network"]
