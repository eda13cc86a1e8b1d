"""Motion stream: reading, augmentation, network, pre-training."""
