"""One fold: its features, its models (trained or loaded), their scores and their calibration."""
