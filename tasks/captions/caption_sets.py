"""Decides which captions a retrieval set holds: sets from files, from COCO and from the closed world."""

from __future__ import annotations

import ast
import collections
import difflib
import functools
import hashlib
import math
import os
import pathlib
import tempfile
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from bench.errors import UsageError, nearest
from tasks.captions import templates
from tasks.captions.judge_agreement import rank_judges
from tasks.closed_world import grammar
from tasks.closed_world.meanings import Meaning
from tasks.data_dir import download, location
from tasks.data_dir.guarded_files import read_plain_text
from tasks.data_dir.locking import folder_lock

Split = Literal["held_out", "seen"]

SPLITS: tuple[Split, ...] = ("held_out", "seen")

NAMES = ("closed-world", "coco-153", *(f"composed:{name}" for name in templates.TEMPLATES))
"""Names of all built-in sets; a user's text file is `file:PATH`."""

CLOSED_WORLD_JUDGES = ("embedded-judge-rn", "embedded-judge-vit")

OPEN_WORLD_JUDGES = ("openai-vit-b-32",)

COCO_SHA256 = "0a83ebb21f038b60f66a7a799e01000bf80ead61b6ebc3267fbed377e7d60439"
"""SHA-256 of the 153 captions, normalised as in the paper."""

MAX_COCO_BYTES = 2**20
"""Largest size of the official list that is accepted; it has some 10 KB."""

COCO_URL = (
    "https://raw.githubusercontent.com/google-research/google-research/ccc94ce348360ddcd41c749d4088d468ccfd1eaf/"
    "dreamfields/dreamfields/config/coco_queries_val.py"
)

COCO_VARIABLE = "BENCH_COCO_CAPTIONS"

NEAR_DUPLICATE = 0.75
"""Captions that share this part of all their words, without articles, are near-duplicates."""


class CaptionSet(NamedTuple):
    """A fixed retrieval set; any two captions differ in more than case, spaces and a final full stop.

    Attributes:
        name: Name of the set, as in `caption_set`.
        captions: Captions in a fixed order.
        sha256: SHA-256 of the captions, each followed by a newline.
    """

    name: str
    captions: tuple[str, ...]
    sha256: str


def caption_set(name: str) -> CaptionSet:
    """Load the retrieval set with a name, see `tasks.captions.caption_task`.

    Raises:
        UsageError: There is no such set, or its file is missing, is damaged or holds a caption twice.

    Example:
        >>> found = caption_set("composed:materials")
        >>> len(found.captions), found.captions[0]
        (48, 'a snail made of baguette')
    """
    kind, _, rest = name.partition(":")
    if name == "closed-world":
        return _frozen(name, _closed_world())
    if name == "coco-153":
        file = _coco_file()
        return _coco(file, _stamp(file, f"name another with {COCO_VARIABLE}"))
    if kind == "file":
        file = pathlib.Path(rest).expanduser()
        return _of_file(name, file, _stamp(file, "write its path after file:"))
    if name in NAMES:
        return _frozen(name, templates.template(rest).captions)
    raise UsageError(
        f"captions: expected a retrieval set, got {name!r}; {nearest(name, NAMES)}; a file of yours is file:PATH"
    )


def splits(name: str) -> dict[Split, tuple[str, ...]]:
    """Return the captions of a set by split, in the set's order; an empty dict if the set has no splits.

    `tasks.closed_world.meanings` and `tasks.captions.templates` explain what the captions are held out from.

    Args:
        name: Name of the set.

    Example:
        >>> {split: len(captions) for split, captions in splits("closed-world").items()}
        {'held_out': 64, 'seen': 64}
    """
    caption_set(name)  # raises an error if there is no such set
    if name == "closed-world":
        num = templates.NUM_HELD_OUT
        return {"held_out": _closed_world()[:num], "seen": _closed_world()[num:]}
    if name.startswith("composed:"):
        template = templates.template(name.partition(":")[2])
        return {"held_out": template.held_out, "seen": template.seen}
    return {}


def judges_of(name: str) -> tuple[str, ...]:
    """Name the encoders that judge objects of a set, in a fixed order; the first tells repeated faces."""
    is_closed = name == "closed-world" or name.startswith("composed:world-")
    return CLOSED_WORLD_JUDGES if is_closed else OPEN_WORLD_JUDGES


def ranked_judges_of(name: str) -> tuple[str, ...]:
    """Name the encoders that judge objects of a set as tables show them: the one that agrees best with people first."""
    return rank_judges(judges_of(name))


def meaning_of_caption(caption: str) -> Meaning:
    """Parse a caption of the closed world, for ground-truth renders.

    Raises:
        UsageError: The caption is not one of the closed world.
    """
    return grammar.parse(caption)


def card(name: str) -> dict[str, Any]:
    """Describe a set as JSON: the facts that a reader of its scores must know.

    Args:
        name: Name of the set.

    Returns:
        `chance` is the share of hits at rank 1 by guessing, `splits` the number of captions of each split, and
        `near_duplicates` the pairs that a judge is likely to confuse, so that a perfect score is impossible.
    """
    found = caption_set(name)
    return {
        "name": found.name,
        "size": len(found.captions),
        "sha256": found.sha256,
        "chance": 1 / len(found.captions),
        "splits": {split: len(captions) for split, captions in splits(name).items()},
        "judges": list(judges_of(name)),
        "near_duplicates": [list(pair) for pair in near_duplicates(found.captions)],
    }


def near_duplicates(captions: Iterable[str]) -> list[tuple[str, str]]:
    """Find pairs of captions with nearly the same words, without articles; no encoder is used.

    Two near-duplicates always share one of their rarest words, so only such captions are compared.

    Example:
        >>> near_duplicates(["A red kite in the sky.", "a red kite in a blue sky", "a red bus"])
        [('A red kite in the sky.', 'a red kite in a blue sky')]
    """
    captions = tuple(captions)
    words = [frozenset(grammar.split_words(caption)) - {"a", "an", "the"} for caption in captions]
    counts = collections.Counter(word for own in words for word in own)
    found = []
    places = collections.defaultdict[str, list[int]](list)
    for i, own in enumerate(words):
        rarest = sorted(own, key=lambda word: (counts[word], word))
        rarest = rarest[: len(own) - math.ceil(NEAR_DUPLICATE * len(own)) + 1]
        candidates = {j for word in rarest for j in places[word]}
        for j in sorted(candidates):
            if len(own & words[j]) >= NEAR_DUPLICATE * len(own | words[j]):
                found.append((captions[j], captions[i]))
        for word in rarest:
            places[word].append(i)
    return found


def normalized(caption: str) -> str:
    """Normalise a caption for comparison: lower case, single spaces, no full stop at the end.

    Example:
        >>> normalized("A  red chair. ")
        'a red chair'
    """
    return " ".join(caption.lower().split()).strip(" .,")


def _place(caption: str, found: CaptionSet) -> int:
    """Find the place of a caption in its set."""
    said = normalized(caption)
    places = _places(found.captions)
    if said in places:
        return places[said]
    known = list(places)
    [nearest_one] = difflib.get_close_matches(said, known, n=1, cutoff=0.0)
    close = found.captions[places[nearest_one]]
    raise UsageError(
        f"caption {caption!r}: expected one of the {len(known)} captions of {found.name}, got another; the nearest is "
        f"{close!r}; for your own captions write all of them to a file and pass captions='file:PATH'"
    )


@functools.lru_cache(maxsize=16)  # a suite looks up every caption of a set, one by one
def _places(captions: tuple[str, ...]) -> dict[str, int]:
    """Map normalised captions to their places in the set."""
    return {normalized(caption): place for place, caption in enumerate(captions)}


@functools.cache
def _closed_world() -> tuple[str, ...]:
    return tuple(grammar.caption(meaning) for meaning in templates.closed_world())


def _frozen(name: str, captions: Iterable[str]) -> CaptionSet:
    captions = tuple(captions)
    return CaptionSet(name, captions, hashlib.sha256(("\n".join(captions) + "\n").encode()).hexdigest())


def _coco_file() -> pathlib.Path:
    """Find the user's file of COCO captions, else the one in the cache; download the latter if it is missing."""
    chosen = os.environ.get(COCO_VARIABLE)
    if chosen:
        return pathlib.Path(chosen).expanduser()
    place = location.folder() / "captions" / "coco_queries_val.py"
    if place.exists():
        return place
    with (
        folder_lock(place.parent, f"downloading {COCO_URL}"),
        # On the same disk as its place, so that it can be renamed.
        tempfile.TemporaryDirectory(dir=place.parent, prefix="incomplete.") as temporary,
    ):
        if place.exists():  # another process was first
            return place
        file = pathlib.Path(temporary) / place.name
        try:
            download.download_file(COCO_URL, file, MAX_COCO_BYTES)
        except UsageError as error:
            raise UsageError(
                f"captions coco-153: expected the official list, got none ({str(error).split('; ')[0]}); put that "
                f"file at {place}, or name one, or a text of 153 lines, with {COCO_VARIABLE}"
            ) from error
        _coco_captions(file, COCO_URL)
        file.rename(place)
    return place


@functools.lru_cache(maxsize=4)
def _coco(file: pathlib.Path, stamp: tuple[int, int]) -> CaptionSet:
    return _frozen("coco-153", _coco_captions(file, str(file)))


def _coco_captions(file: pathlib.Path, where: str) -> tuple[str, ...]:
    """Read the COCO captions from a file, normalise them as the paper's code does, and check them.

    Args:
        file: Official file, which is Python, or a text with one caption a line.
        where: Name of the file in messages.

    References:
        Last line of Dream Fields' config/coco_queries_val.py.
    """
    text = _read(file, where)
    queries = _queries(text, where) if file.suffix == ".py" else [line for _, line in _lines(text)]
    captions = tuple(query.lower().strip(" .,") + "." for query in queries)
    got = _frozen("", captions).sha256
    if got != COCO_SHA256:
        raise UsageError(
            f"{where}: expected the 153 captions of Dream Fields, SHA-256 {COCO_SHA256}, got {len(captions)} captions "
            f"with {got}; they are at {COCO_URL}"
        )
    return captions


def _queries(source: str, where: str) -> list[str]:
    """Read the list `queries` from a Python file, without running the file.

    Example:
        >>> _queries("queries = ['A cat.', 'a dog']; queries = [q.lower() for q in queries]", "x.py")
        ['A cat.', 'a dog']
    """
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(
            f"{where}: expected Python with a list `queries`, got {str(error)!r}; fetch it again"
        ) from error
    for statement in statements:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["queries"]:
            try:
                value = ast.literal_eval(statement.value)
            except ValueError:  # the comprehension
                continue
            if isinstance(value, list) and all(isinstance(query, str) for query in value):
                return value
    raise UsageError(f"{where}: expected Python with a list `queries` of strings, got none; fetch it again")


@functools.lru_cache(maxsize=16)
def _of_file(name: str, file: pathlib.Path, stamp: tuple[int, int]) -> CaptionSet:
    """Read a set from a text file; its captions keep their spelling."""
    lines = _lines(_read(file, str(file)))
    if len(lines) < 2:
        raise UsageError(
            f"{file}: expected two captions or more, one a line, got {len(lines) or 'none'}; add others that retrieval "
            "can choose from"
        )
    first: dict[str, int] = {}
    alike = []
    for number, caption in lines:
        said = normalized(caption)
        if not said:
            raise UsageError(f"{file}, line {number}: expected words, got {caption!r}; correct or remove it")
        if said in first:
            alike.append(f"{first[said]} and {number} ({said!r})")
        first.setdefault(said, number)
    if alike:
        more = f" and {len(alike) - 5} more" if len(alike) > 5 else ""
        raise UsageError(
            f"{file}: expected different captions, got the same in lines {', '.join(alike[:5])}{more}; remove one of "
            "each (case, spaces and a final full stop make no difference)"
        )
    return _frozen(name, [caption for _, caption in lines])


def _lines(text: str) -> list[tuple[int, str]]:
    """List the captions of a text with their line numbers, from 1."""
    numbered = ((i, line.strip()) for i, line in enumerate(text.split("\n"), 1))
    return [(i, line) for i, line in numbered if line and not line.startswith("#")]


def _read(file: pathlib.Path, where: str) -> str:
    try:
        return read_plain_text(file, where=where)
    except OSError as error:
        raise UsageError(
            f"{where}: expected a file that can be read, got {error.strerror!r}; correct the path"
        ) from error


def _stamp(file: pathlib.Path, remedy: str) -> tuple[int, int]:
    """Return a file's modification time and size, by which a cached set is found to be out of date."""
    if not file.is_file():
        got = "a folder" if file.is_dir() else "none there"
        raise UsageError(f"{file}: expected a text file of captions, got {got}; {remedy}")
    told = file.stat()
    return told.st_mtime_ns, told.st_size
