"""Collects what is odd about a scene, a line each, however many photographs it is true of."""

from __future__ import annotations


class Doubts:
    """Lines in the order in which they were first said, each with the photographs that it is true of."""

    def __init__(self) -> None:
        self.photos: dict[str, list[str]] = {}

    def add(self, line: str, photo: str | None = None) -> None:
        """Say a line, of the whole scene or of one photograph."""
        names = self.photos.setdefault(line, [])
        if photo is not None:
            names.append(photo)

    def lines(self) -> tuple[str, ...]:
        """Write the lines; photographs are counted and the first is named.

        Example:
            >>> doubts = Doubts()
            >>> doubts.add("no photo is there: left out", "0001.jpg")
            >>> doubts.add("no photo is there: left out", "0002.jpg")
            >>> doubts.lines()
            ('no photo is there: left out (2 photos, the first is 0001.jpg)',)
        """
        return tuple(line + _of_photos(names) for line, names in self.photos.items())


def _of_photos(names: list[str]) -> str:
    if not names:
        return ""
    return f" ({names[0]})" if len(names) == 1 else f" ({len(names)} photos, the first is {names[0]})"
