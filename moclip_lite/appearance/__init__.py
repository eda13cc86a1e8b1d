"""Appearance features: frozen CLIP encoders and the frames that they see."""
