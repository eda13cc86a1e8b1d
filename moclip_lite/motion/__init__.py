"""Motion stream: from motion vectors to the features and scores of the motion network.

``read`` reads a clip's motion tensor (cropped by ``crop_actor``), ``packing`` compresses it, ``extract``
fills the cache and ``store`` reads it back. ``network`` is a classifier on the encoders in ``encoders``;
``batches`` and ``augment`` make its training batches, ``scores`` tests a network on several views.
"""
