"""Trains trials: packs them, compiles, schedules over workers, renders and scores."""
