"""Counts a blind quiz: what people and judges recognise in pictures of several arms, and how far they agree."""
