"""Networks of a run folder behind one interface: by PyTorch, or by ONNX Runtime without importing PyTorch.

``base`` is the interface, ``files`` the ONNX files of a run and what ties them to its weights, ``runtime``
and ``pytorch`` the two engines, ``pictures`` the preprocessing of pictures without torch,
``choose`` picks an engine.
"""
