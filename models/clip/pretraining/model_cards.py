"""Prints model cards of the embedded encoders: how each was made, and its accuracy on held-out pictures."""

from __future__ import annotations

from typing import Any

from models.clip.checkpoints import catalog, files
from models.clip.networks import architectures
from models.clip.pretraining.recipes import OPTIONS, RECIPES
from tasks.captions import judge_agreement

TITLES = {
    "retrieval_64": "the right caption of 64",
    "zero_shot": "the right caption of all single things in the set",
    "kind": "kind, of all things there are",
    "color": "colour",
    "finish": "finish",
}


def model_card(name: str) -> dict[str, Any]:
    """Read the card of an embedded encoder from its file."""
    found = files.read_checkpoint(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
    card_fields = dict(found.card)
    if "command" in card_fields:
        # The files were written when the training module had another name; their hashes are in the identity of trials.
        command = card_fields["command"].replace("models.clip.pretrain ", "models.clip.pretraining.train ")
        card_fields["command"] = leave_out_defaults(command, name)
    tower = architectures.to_json(found.model.image_tower)
    return {
        "name": name,
        "role": "judge: never guides" if name in catalog.JUDGES else "guide",
        "image_tower": ", ".join(f"{key} {value}" for key, value in tower.items() if value is not None),
        "sha256": catalog.EMBEDDED[name],
        **card_fields,
        **describe_agreement(name),
    }


def leave_out_defaults(command: str, name: str) -> str:
    """Leave out the options of a training command that its recipe has by now."""
    words = command.split()
    for field in OPTIONS:
        option = f"--{field.replace('_', '-')}"
        if option in words:
            place = words.index(option)
            if OPTIONS[field](words[place + 1]) == getattr(RECIPES[name], field):
                del words[place : place + 2]
    return " ".join(words)


def describe_agreement(name: str) -> dict[str, str]:
    """Say how far an encoder agrees with people on what they recognise; empty where nobody was asked.

    A quiz counts for the weights that were asked: what is stored of others under the same name is left out.
    So is an encoder that guided all objects of the quiz.
    """
    found = judge_agreement.agreement_of(name)
    if found is None or found["sha256"] != catalog.EMBEDDED[name] or not found["kappa_right"]["num"]:
        return {}
    told = judge_agreement.stored_agreement()
    people = "1 observer" if told["num_people"] == 1 else f"{told['num_people']} observers"
    asked_by = "captions" if found["asked_by"] == "kind" else "the words of kinds"
    return {
        "agreement with observers": f"Cohen's kappa {format_kappa(found['kappa_right'])} on whether the kind is right, "
        f"{format_kappa(found['kappa_chosen'])} on the kind that is chosen ({found['kappa_right']['num']} answers of "
        f"{people} to pictures of trained objects, asked by {asked_by}; see results/reference/recognition)"
    }


def format_kappa(found: dict[str, Any]) -> str:
    """Format a kappa with its interval.

    Example:
        >>> format_kappa({"value": 0.61, "low": 0.5, "high": 0.7}), format_kappa({"value": None, "low": None})
        ('0.61 [0.50, 0.70]', 'unknown')
    """
    if found["value"] is None:
        return "unknown"
    ends = "" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]"
    return f"{found['value']:.2f}{ends}"


def card_lines(fields: dict[str, Any]) -> list[str]:
    """Format a card as lines of text, with the accuracies last."""
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in fields.items() if key != "accuracy"]
    for title, metrics in fields.get("accuracy", {}).items():
        for metric, found in metrics.items():
            lines.append(f"{title}, {TITLES.get(metric, metric)}: {format_accuracy(found)}")
    return lines


def format_accuracy(found: dict[str, Any]) -> str:
    """Format a mean with its interval and the numbers of pictures, meanings and captions.

    Example:
        >>> found = {"mean": 0.5, "low": 0.4, "high": 0.61, "num_pictures": 20, "num_meanings": 10, "num_captions": 64}
        >>> format_accuracy(found)
        '0.500 [0.400, 0.610] (20 pictures of 10 meanings, among 64 captions)'
    """
    return (
        f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}] ({found['num_pictures']} pictures of "
        f"{found['num_meanings']} meanings, among {found['num_captions']} captions)"
    )


def markdown() -> str:
    """Format all cards as a page of Markdown."""
    text = (
        "# Embedded encoders\n\nSmall CLIP models of the closed world (`tasks/closed_world/meanings.py`), made by "
        "`python -m models.clip.pretraining.train`. They know its things, and nothing else. Accuracies are on renders "
        "that were not trained on, before mid-grey, with 95% intervals by resampling meanings. Judges are trained on "
        "other renders, under other light, with another seed, and refuse to guide. This page is printed by "
        "`python -m bench encoders --cards`.\n"
    )
    for name in catalog.EMBEDDED:
        text += f"\n## {name}\n\n" + "\n".join(f"- {line}" for line in card_lines(model_card(name))) + "\n"
    return text
