"""Tasks of the benchmark: scenes seen in few photos, and captions, with their cameras and data."""
