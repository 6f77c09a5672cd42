"""Caption sets and the task of making an object from a caption."""
