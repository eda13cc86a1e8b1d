"""Image networks without text (timm, torchvision, weights of one's own) as appearance encoders."""
