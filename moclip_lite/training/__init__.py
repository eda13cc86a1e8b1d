"""Training: the loop, optimizers, checkpoints and costs."""
