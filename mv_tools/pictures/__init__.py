"""The pictures of a video stream: packets scanned, pictures numbered, chosen ones decoded."""
