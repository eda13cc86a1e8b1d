"""Classification of video files by a trained run."""
