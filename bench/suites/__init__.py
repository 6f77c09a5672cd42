"""The studies: one constant a file."""
