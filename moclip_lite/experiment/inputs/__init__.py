"""What an experiment reads: data sets of videos, packed clips, and files of features."""
