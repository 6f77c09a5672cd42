"""The studies that come with the project: one constant a file."""
