"""Computes what the scores say: means, paired differences, intervals, verdicts."""
