"""A drill: faults at random moments while trials are trained, and what must hold afterwards."""
