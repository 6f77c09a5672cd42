"""Counts the answers to a blind quiz: what people recognise, by arm, and how far each judge agrees with them.

A picture is recognised if the answer is true of what it shows, of a pair if it is true of one of its things. "?" is
wrong. A judge's agreement is Cohen's kappa with people over pictures of trained objects, true renders left out: on
whether the kind is right, and on the kind that is chosen. Intervals of 95% are over captions.

Rows: one answer of one person to one picture.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int

from bench.analysis.quiz import agreement, answers, differences, form_counts, judging
from bench.analysis.quiz.agreement import Estimate
from bench.analysis.quiz.key import TRUE_RENDERS, QuizKey, QuizPicture, read_key
from bench.analysis.quiz.page_answers import read_page_answers
from bench.errors import UsageError
from bench.metrics import judges
from bench.metrics.recognition import PROPERTY_OF, true_answers
from bench.storage.store import Store
from tasks.closed_world.meanings import PROPERTIES, ObjectPairSpec

AskJudges: TypeAlias = Callable[[QuizKey, Sequence[str]], Mapping[str, judging.JudgedQuiz]]
"""Gives what encoders of some names answer to a quiz."""

ASKED_KINDS = ("kind", "kind_word")
"""The questions about kinds; a judge agrees by the one that it agrees by best."""


class AnsweredPicture(NamedTuple):
    """A person's answer beside what the picture shows and what judges say of it.

    Attributes:
        quiz: Hash of its quiz.
        picture: The picture.
        person: Who answered.
        chosen: By property the person's answer.
        judged: By judge and question the judge's; not of judges that guided the object.
    """

    quiz: str
    picture: QuizPicture
    person: str
    chosen: Mapping[str, str]
    judged: Mapping[str, Mapping[str, str]]


class AnsweredQuiz(NamedTuple):
    """Answers of one person to one quiz.

    Attributes:
        path: Their file.
        key: The quiz.
        found: The answers.
    """

    path: pathlib.Path
    key: QuizKey
    found: answers.QuizAnswers


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_quizzes(
    paths: Sequence[pathlib.Path], key_path: pathlib.Path | None = None, trials: Store | None = None
) -> list[AnsweredQuiz]:
    """Read files of answers with the keys of their quizzes.

    Args:
        paths: Files of answers.
        key_path: The key; None for the one beside each file's folder, where `quiz` puts it.
        trials: Store of the trials that a report's page asked about; None where no file is of such a page.

    Raises:
        UsageError: A file is given twice, holds no answers, or belongs to another quiz than the key.
    """
    resolved = [path.resolve() for path in paths]
    twice = [str(path) for path, place in zip(paths, resolved, strict=True) if resolved.count(place) > 1]
    if twice:
        raise UsageError(f"votes: expected each file once, got {twice[0]} twice; leave one out")
    keys: dict[pathlib.Path, QuizKey] = {}
    quizzes = []
    for path in paths:
        if trials is not None and answers.is_page_file(path):
            quizzes.append(AnsweredQuiz(path, *read_page_answers(path, trials)))
            continue
        found = answers.read_answers(path)
        place = key_path or default_key(path)
        if place not in keys:
            keys[place] = read_key(place)
        answers.check_answers(found, len(keys[place].pictures), keys[place].quiz, path)
        quizzes.append(AnsweredQuiz(path, keys[place], found))
    check_different(quizzes)
    return quizzes


def check_different(quizzes: Sequence[AnsweredQuiz]) -> None:
    """Refuse answers that two files hold, as one was copied.

    Raises:
        UsageError: There are such files.
    """
    seen: dict[tuple[str, frozenset[Any]], pathlib.Path] = {}
    for quiz in quizzes:
        content = frozenset((x.number, tuple(x.chosen.items())) for x in quiz.found.answers)
        first = seen.setdefault((quiz.key.quiz, content), quiz.path)
        if first != quiz.path:
            raise UsageError(
                f"votes: expected each answer once, got the same in {first} and {quiz.path}; leave one out"
            )


def default_key(path: pathlib.Path) -> pathlib.Path:
    """Return where `quiz` puts the key: beside the folder that holds the answers.

    Example:
        >>> str(default_key(pathlib.Path("/studies/quiz/answers.csv")))
        '/studies/quiz-key.parquet'
    """
    folder = path.resolve().parent
    return folder.with_name(f"{folder.name}-key.parquet")


def match_answers(
    quizzes: Sequence[AnsweredQuiz],
    names: Sequence[str],
    ask: AskJudges,
) -> tuple[list[AnsweredPicture], dict[str, str]]:
    """Put each answer beside what its picture shows and what judges say of it; tell why some judges say nothing."""
    rows = []
    reasons: dict[str, str] = {}
    judged_by_quiz: dict[str, Mapping[str, judging.JudgedQuiz]] = {}
    for quiz in quizzes:
        digest = quiz.key.quiz
        if digest not in judged_by_quiz:
            judged_by_quiz[digest] = ask(quiz.key, names)
        judged = judged_by_quiz[digest]
        reasons |= {name: told.reason for name, told in judged.items() if told.reason is not None}
        for answer in quiz.found.answers:
            place = answer.number - 1
            picture = quiz.key.pictures[place]
            said = {
                name: {question: told.answers[question][place] for question in told.answers}
                for name, told in judged.items()
                if told.reason is None and not is_in_loop(name, picture)
            }
            rows.append(AnsweredPicture(digest, picture, quiz.found.person, answer.chosen, said))
    return rows, reasons


def is_in_loop(judge: str, picture: QuizPicture) -> bool:
    """Whether a judge guided the object of a picture: what it says of that is no judgement."""
    return bool(judges.judge_of(judge, {"": picture.guides}, allow_in_loop=True).in_loop)


# ---- counting --------------------------------------------------------------------------------------------------------


def count_quiz(
    paths: Sequence[pathlib.Path],
    key_path: pathlib.Path | None = None,
    names: Sequence[str] | None = None,
    ask: AskJudges | None = None,
    trials: Store | None = None,
) -> dict[str, Any]:
    """Count the answers of several files, as JSON.

    Args:
        paths: Files of answers.
        key_path: See `read_quizzes`.
        names: Encoders that are asked too; None for `judging.judge_names`.
        ask: Gives the answers of encoders to a quiz; None for `judging.judge_pictures`.
        trials: See `read_quizzes`.

    Raises:
        UsageError: See `read_quizzes`.
    """
    quizzes = read_quizzes(paths, key_path, trials)
    names = judging.judge_names() if names is None else names
    rows, reasons = match_answers(quizzes, names, ask or judging.judge_pictures)
    arms = sorted({row.picture.arm for row in rows}, key=lambda arm: (arm == TRUE_RENDERS, arm))
    of_fields = [row for row in rows if row.picture.arm != TRUE_RENDERS]
    counted = [count_judge(name, rows) for name in names if name not in reasons]
    counted.sort(key=rank_kappa, reverse=True)
    people = {quiz.found.person for quiz in quizzes}
    captions = {row.picture.meaning for row in rows}
    by_arm = [count_arm(arm, [row for row in rows if row.picture.arm == arm]) for arm in arms]
    pictures = {quiz.key.quiz: len(quiz.key.pictures) for quiz in quizzes}
    return {
        "quizzes": sorted(pictures),
        "num_pictures": sum(pictures.values()),
        "num_answered": count_pictures(rows),
        "num_answers": len(rows),
        "num_people": len(people),
        "num_captions": len(captions),
        **count_people_by_form(quizzes),
        "unnamed": [str(quiz.path) for quiz in quizzes if quiz.found.quiz is None],
        "arms": by_arm,
        "differences": differences.compare_arms(mark_chosen_kinds(of_fields)),
        "judges": counted,
        "people": compare_people(of_fields),
        "not_asked": reasons,
    }


def count_people_by_form(quizzes: Sequence[AnsweredQuiz]) -> dict[str, Any]:
    """Count who answered which form, and by person the things that were seen more than once."""
    forms: list[dict[str, Any]] = []
    repeated: collections.Counter[str] = collections.Counter()
    for digest in sorted({quiz.key.quiz for quiz in quizzes}):
        of_quiz = [quiz for quiz in quizzes if quiz.key.quiz == digest]
        found = [quiz.found for quiz in of_quiz]
        forms += form_counts.count_forms(of_quiz[0].key, found)
        repeated.update(form_counts.count_repeated(of_quiz[0].key, found))
    return {"forms": forms, "repeated": dict(repeated)}


def count_arm(arm: str, rows: Sequence[AnsweredPicture]) -> dict[str, Any]:
    """Count what people and judges recognise in the pictures of an arm: all, of single things, of pairs."""
    parts = {
        "all": list(rows),
        "single": [row for row in rows if not is_pair(row)],
        "pairs": [row for row in rows if is_pair(row)],
    }
    people = {
        part: {name: estimate_share(chosen, name)._asdict() for name in PROPERTIES} for part, chosen in parts.items()
    }
    by_judges = {}
    for name in dict.fromkeys(name for row in rows for name in row.judged):
        shares = {question: estimate_share(rows, asked, name, question) for question, asked in PROPERTY_OF.items()}
        by_judges[name] = {question: share._asdict() for question, share in shares.items()}
    return {"arm": arm, "num_pictures": count_pictures(rows), "people": people, "judges": by_judges}


def count_pictures(rows: Sequence[AnsweredPicture]) -> int:
    """Count the pictures that somebody answered."""
    return len({(row.quiz, row.picture.number) for row in rows})


def is_pair(row: AnsweredPicture) -> bool:
    """Whether a picture shows two things."""
    return isinstance(row.picture.parsed, ObjectPairSpec)


def estimate_share(
    rows: Sequence[AnsweredPicture], name: str, judge: str | None = None, question: str | None = None
) -> Estimate:
    """Estimate how often a property is recognised, by people or by a judge; rows without an answer are left out."""
    if judge is None or question is None:
        rows = [row for row in rows if name in row.chosen]
        said = [row.chosen[name] for row in rows]
    else:
        rows = [row for row in rows if judge in row.judged]
        said = [row.judged[judge][question] for row in rows]
    right = [word in true_answers(row.picture.parsed, name) for word, row in zip(said, rows, strict=True)]
    return agreement.share_estimate(np.asarray(right, np.bool_), number_captions(rows))


def number_captions(rows: Sequence[AnsweredPicture]) -> Int[np.ndarray, " n"]:
    """Give each row the number of its caption, whatever quiz it is in."""
    places: dict[str, int] = {}
    return np.asarray([places.setdefault(row.picture.meaning, len(places)) for row in rows], np.int64)


def count_judge(name: str, rows: Sequence[AnsweredPicture]) -> dict[str, Any]:
    """Compute how far a judge agrees with people on pictures of trained objects, by the better way of asking it.

    Objects that it guided are left out, and counted.
    """
    num_in_loop = sum(name not in row.judged for row in rows)
    rows = [row for row in rows if name in row.judged]
    of_fields = [row for row in rows if row.picture.arm != TRUE_RENDERS and "kind" in row.chosen]
    asked = {question: compare_kinds(name, question, of_fields) for question in ASKED_KINDS}
    asked_by = max(ASKED_KINDS, key=lambda question: rank_kappa(asked[question]))
    everything = [row for row in rows if "kind" in row.chosen]
    with_true = compare_kinds(name, asked_by, everything)
    properties = {}
    for other in ("color", "finish"):
        answered = [row for row in rows if row.picture.arm != TRUE_RENDERS and other in row.chosen]
        said = [row.judged[name][other] for row in answered]
        found = agreement.kappa_estimate(said, [row.chosen[other] for row in answered], number_captions(answered))
        properties[other] = found._asdict()
    return {
        "judge": name,
        "asked_by": asked_by,
        "num_in_loop": num_in_loop,
        **asked[asked_by],
        "by_question": asked,
        "with_true_renders": with_true,
        "kappa_chosen_of": properties,
    }


def rank_kappa(compared: Mapping[str, Any]) -> float:
    """Rank an agreement by kappa on whether the kind is right; one without a value comes last."""
    value = compared["kappa_right"]["value"]
    return -2.0 if value is None else value


def compare_kinds(judge: str, question: str, rows: Sequence[AnsweredPicture]) -> dict[str, Any]:
    """Compute kappa of a judge and people: on whether the kind is right, and on the kind that is chosen."""
    said = [row.judged[judge][question] for row in rows]
    chosen = [row.chosen["kind"] for row in rows]
    return compare_choices(said, chosen, rows)


def compare_choices(first: Sequence[str], second: Sequence[str], rows: Sequence[AnsweredPicture]) -> dict[str, Any]:
    """Compute kappa of two who chose kinds, on whether they are right and on what they chose."""
    captions = number_captions(rows)
    return {
        "kappa_right": agreement.kappa_estimate(mark_kinds(first, rows), mark_kinds(second, rows), captions)._asdict(),
        "kappa_chosen": agreement.kappa_estimate(first, second, captions)._asdict(),
    }


def mark_kinds(chosen: Sequence[Hashable], rows: Sequence[AnsweredPicture]) -> list[bool]:
    """Say which kinds are true of their pictures."""
    return [kind in true_answers(row.picture.parsed, "kind") for kind, row in zip(chosen, rows, strict=True)]


def mark_chosen_kinds(rows: Sequence[AnsweredPicture]) -> list[differences.MarkedAnswer]:
    """Mark the kinds that people chose, where they chose one."""
    rows = [row for row in rows if "kind" in row.chosen]
    marks = mark_kinds([row.chosen["kind"] for row in rows], rows)
    return [
        differences.MarkedAnswer(row.picture.arm, row.picture.meaning, is_right)
        for row, is_right in zip(rows, marks, strict=True)
    ]


def compare_people(rows: Sequence[AnsweredPicture]) -> dict[str, Any] | None:
    """Compute how far people agree with each other on the same pictures: what a judge can reach; None if alone."""
    by_picture: dict[tuple[str, int], list[AnsweredPicture]] = {}
    for row in rows:
        if "kind" in row.chosen:
            by_picture.setdefault((row.quiz, row.picture.number), []).append(row)
    pairs = [(a, b) for shared in by_picture.values() for i, a in enumerate(shared) for b in shared[i + 1 :]]
    if not pairs:
        return None
    first = [a.chosen["kind"] for a, _ in pairs]
    second = [b.chosen["kind"] for _, b in pairs]
    return compare_choices(first, second, [a for a, _ in pairs])


def count_confused_kinds(rows: Sequence[AnsweredPicture]) -> dict[str, dict[str, int]]:
    """Count, of single things by kind, the kinds that people chose; the most frequent first."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.picture.arm == TRUE_RENDERS or is_pair(row) or "kind" not in row.chosen:
            continue
        [kind] = true_answers(row.picture.parsed, "kind")
        found = counts.setdefault(kind, {})
        found[row.chosen["kind"]] = found.get(row.chosen["kind"], 0) + 1
    return {kind: dict(sorted(found.items(), key=lambda x: (-x[1], x[0]))) for kind, found in sorted(counts.items())}
