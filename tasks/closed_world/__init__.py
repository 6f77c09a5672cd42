"""The closed world: a small world of captioned objects that the project renders itself."""
