"""Caption tasks, which make an object from a caption, and the sets of captions."""
