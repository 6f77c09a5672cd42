"""A small world of captioned objects that the project renders itself."""
