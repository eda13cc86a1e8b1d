"""Motion vectors from the mv-extractor package."""
