"""The folder of cached data: its location, its locks, and downloads into it."""
