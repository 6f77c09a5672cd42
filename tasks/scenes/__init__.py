"""The eight embedded scenes."""
