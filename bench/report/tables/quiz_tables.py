"""Writes a counted quiz for a person: what is recognised by arm, by people and judges, and how far these agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.counted_nouns import format_count
from bench.report.tables.cells import format_p
from bench.report.tables.words import printable

NOBODY: Mapping[str, Any] = {"value": None}
"""In place of a share that nobody gives."""

TITLES = {"kind": "kind", "color": "colour", "finish": "finish"}


def quiz_lines(told: Mapping[str, Any]) -> list[str]:
    """Write what `bench.analysis.quiz.counts.count_quiz` found as lines."""
    quizzes = ", ".join(quiz[:8] for quiz in told["quizzes"])
    head = (
        f"quiz {quizzes}: {told['num_answered']} of {format_count(told['num_pictures'], 'picture')} answered, by "
        f"{format_people(told['num_people'])}; {format_count(told['num_captions'], 'caption')}"
    )
    return [
        head,
        *form_lines(told["forms"]),
        *repeated_lines(told["repeated"]),
        "",
        "Recognised by people",
        *share_rows(told["arms"]),
        "",
        *difference_lines(told["differences"]),
        "Kind recognised, by judges",
        *judge_share_rows(told),
        "",
        "Agreement with people on pictures of trained objects (Cohen's kappa)",
        *kappa_rows(told),
        "",
        *quiz_notes(told),
    ]


def form_lines(forms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write how many people answered each form, a line for each quiz that has several.

    Example:
        >>> forms = [{"quiz": "3f9c1a2b77", "form": form, "num_people": num} for form, num in ((1, 2), (2, 1), (3, 0))]
        >>> form_lines(forms), form_lines(forms[:1])
        (['forms of 3f9c1a2b: 1 answered by 2 people, 2 by 1 person, 3 by nobody'], [])
    """
    lines = []
    for quiz in dict.fromkeys(form["quiz"] for form in forms):
        of_quiz = [form for form in forms if form["quiz"] == quiz]
        told = [f"{form['form']} by {format_people(form['num_people'])}" for form in of_quiz]
        if len(told) > 1:
            first = told[0].replace(" by ", " answered by ", 1)
            lines.append(f"forms of {quiz[:8]}: {', '.join([first, *told[1:]])}")
    return lines


def format_people(num: int) -> str:
    """Say how many people.

    Example:
        >>> [format_people(num) for num in (0, 1, 2)]
        ['nobody', '1 person', '2 people']
    """
    return {0: "nobody", 1: "1 person"}.get(num, f"{num} people")


def repeated_lines(repeated: Mapping[str, int]) -> list[str]:
    """Warn of people who saw things more than once: they learn from the clearer pictures.

    Example:
        >>> repeated_lines({"anna": 3, "ben": 1})
        ['warning: anna saw 3 objects more than once, ben 1: shares may be too high']
    """
    if not repeated:
        return []
    first, *others = repeated.items()
    told = [f"{printable(first[0])} saw {format_count(first[1], 'object')} more than once"]
    told += [f"{printable(person)} {num}" for person, num in others]
    return [f"warning: {', '.join(told)}: shares may be too high"]


def share_rows(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a row for each arm: kind, colour and finish of all, and kind of single things and of pairs."""
    heads = ["arm", "pictures", *TITLES.values(), "kind, single things", "kind, pairs"]
    rows = []
    for arm in arms:
        people = arm["people"]
        cells = [format_estimate(people["all"][name]) for name in TITLES]
        cells += [format_estimate(people[part]["kind"]) for part in ("single", "pairs")]
        rows.append([printable(arm["arm"]), str(arm["num_pictures"]), *cells])
    return align_columns([heads, *rows])


def difference_lines(told: Mapping[str, Any]) -> list[str]:
    """Write by how much other arms are recognised more often than the first; nothing where there is no other.

    Example:
        >>> arm = {"arm": "plain", "value": -0.25, "low": -0.4, "high": -0.1, "p_holm": 0.004, "verdict": "worse"}
        >>> difference_lines({"baseline": "full", "arms": [arm | {"num_captions": 64}]})
        ... # doctest: +NORMALIZE_WHITESPACE
        ['Kind recognised by people, minus full, caption by caption',
         'arm    difference            p      verdict  captions',
         'plain  -0.25 [-0.40, -0.10]  0.004  worse    64',
         '']
    """
    if not told["arms"]:
        return []
    rows = [["arm", "difference", "p", "verdict", "captions"]]
    for arm in told["arms"]:
        numbers = [format_estimate(arm), format_p(arm["p_holm"])]
        rows.append([printable(arm["arm"]), *numbers, arm["verdict"], str(arm["num_captions"])])
    title = f"Kind recognised by people, minus {printable(told['baseline'])}, caption by caption"
    return [title, *align_columns(rows), ""]


def judge_share_rows(told: Mapping[str, Any]) -> list[str]:
    """Write a row for each arm: the share of people, and of each judge by the better way of asking it."""
    asked = {judge["judge"]: judge["asked_by"] for judge in told["judges"]}
    rows = []
    for arm in told["arms"]:
        cells = [arm["people"]["all"]["kind"]]
        cells += [arm["judges"].get(name, {}).get(question, NOBODY) for name, question in asked.items()]
        rows.append([printable(arm["arm"]), *("-" if x["value"] is None else f"{x['value']:.2f}" for x in cells)])
    return align_columns([["arm", "people", *asked], *rows])


def kappa_rows(told: Mapping[str, Any]) -> list[str]:
    """Write a row for each judge, the one that agrees best first, and one for people among themselves."""
    heads = ["judge", "asked by", "kind right or wrong", "kind chosen", "with true renders", "colour", "finish"]
    rows = []
    for judge in told["judges"]:
        asked_by = "captions" if judge["asked_by"] == "kind" else "kinds' words"
        cells = [judge["kappa_right"], judge["kappa_chosen"], judge["with_true_renders"]["kappa_right"]]
        cells += [judge["kappa_chosen_of"][name] for name in ("color", "finish")]
        rows.append([judge["judge"], asked_by, *map(format_estimate, cells)])
    if told["people"]:
        people = told["people"]
        cells = [format_estimate(people[name]) for name in ("kappa_right", "kappa_chosen")]
        rows.append(["another person", "-", *cells, "-", "-", "-"])
    return align_columns([heads, *rows])


def quiz_notes(told: Mapping[str, Any]) -> list[str]:
    """Explain how the numbers are to be read, and what was left out."""
    notes = [
        "A picture is recognised if the answer is true of it, of a pair if it is true of one of its two things; ? is "
        "wrong. Brackets are 95% intervals over captions. Kappa is 1 where two always agree, 0 where by chance."
    ]
    begun = [form for form in told["forms"] if form["num_people"]]
    unanswered = sum(form["num_pictures"] - form["num_answered"] for form in begun)
    if unanswered:
        notes.append(
            f"Without an answer: {format_count(unanswered, 'picture')}; if they are the hard ones, shares are too high."
        )
    if told["unnamed"]:
        notes.append(f"Names no quiz, taken as answers to this one: {', '.join(map(printable, told['unnamed']))}.")
    guided = {judge["judge"]: judge["num_in_loop"] for judge in told["judges"] if judge["num_in_loop"]}
    if guided:
        listed = ", ".join(f"{name} ({num})" for name, num in guided.items())
        notes.append(f"Left out, as the judge guided the object: {listed}, of {told['num_answers']} answers.")
    notes += [f"Not asked: {name}: {printable(reason)}" for name, reason in told["not_asked"].items()]
    return notes


def format_estimate(estimate: Mapping[str, Any]) -> str:
    """Write a number with its interval.

    Example:
        >>> format_estimate({"value": 0.5, "low": 0.25, "high": 0.75}), format_estimate({"value": None, "low": None})
        ('0.50 [0.25, 0.75]', '-')
    """
    if estimate["value"] is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows in columns.

    Example:
        >>> align_columns([["arm", "n"], ["full recipe", "8"]])
        ['arm          n', 'full recipe  8']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
