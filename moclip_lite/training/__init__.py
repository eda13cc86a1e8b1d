"""Training of networks: loop, optimizers, checkpoints and costs."""
