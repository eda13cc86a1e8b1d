"""Contrastive video-text training."""
