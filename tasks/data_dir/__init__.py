"""The folder where data is kept: its location, locks and downloads."""
