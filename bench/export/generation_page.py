"""Writes the page of `generate`: the objects of a caption, with views, videos and meshes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.export.seen_kinds import describe_seen_kinds
from bench.export.text_to_3d import WORLD
from bench.report.page import html

TEMPLATE = "generation.html.j2"

PICTURES = {"views.png": "eight views", "strip.png": "renders over training", "curves.png": "curves of training"}
"""Pictures of an object that the page shows, where they were written, and their alternative texts."""


def describe_seed(seed: Mapping[str, Any]) -> list[str]:
    """Describe the object of one seed: how training ended, what the judge says, what the mesh is like.

    Args:
        seed: Entry of `objects` in the summary that `generate` writes.
    """
    if seed["state"] == "failed":
        return [f"failed: {seed['reason']}"]
    lines = []
    if seed["state"] != "ok":
        lines.append(f"the field is {seed['state']}")
    if seed["margin"] is None:
        lines.append(f"not judged: {seed['reason']}")
    else:
        share = 100 * (seed["rprec1"] or 0)
        lines.append(f"judge's margin {seed['margin']:+.4f}, caption found in {share:.0f}% of views")
    if seed["seen_as"]:
        lines.append(describe_seen_kinds(seed["seen_as"]))
    notes = [note for note in seed["notes"] if note != seed["mesh_told"]]
    return [*lines, seed["mesh_told"], *notes]


def render_generation_page(summary: Mapping[str, Any]) -> str:
    """Render the page of a summary; the files that it shows lie beside it.

    Args:
        summary: What `generate` writes as `summary.json`.
    """
    return html.render_template(
        TEMPLATE,
        title=summary["caption"],
        introduction=introduce(summary),
        objects=[prepare_object(seed) for seed in summary["objects"]],
        command=summary["command"],
        timings=[(name.removesuffix("_s"), seconds) for name, seconds in summary["seconds"].items()],
    )


def introduce(summary: Mapping[str, Any]) -> list[str]:
    """Write the sentences at the head: how the objects were made, and in which order they stand."""
    names = "the closed world's captions" if summary["captions"]["name"] == WORLD else "captions.txt"
    prompt = ""
    if summary["prompt"] != summary["caption"]:
        prompt = f", read as “{summary['prompt']}”"
    num_others = summary["captions"]["size"] - 1
    return [
        f"Guided by {summary['guide']}{prompt}. {summary['num_steps']} steps at budget {summary['budget']} on "
        f"{summary['num_devices']} x {summary['device']}.",
        f"Ordered by the margin of {summary['judge']}, which guided none of them. "
        f"The margin is the cosine of this caption minus that of the best of {num_others} others ({names}).",
        *(f"Earlier objects of its kind, of several recipes: {line}." for line in summary["people"]),
    ]


def prepare_object(seed: Mapping[str, Any]) -> dict[str, Any]:
    """Prepare what the page prints of one seed: its sentences, and paths of its files."""
    folder = seed["folder"]
    files = seed["files"]
    pictures = [(f"{folder}/{name}", text) for name, text in PICTURES.items() if name in files]
    has_video = "turntable.mp4" in files
    return {
        "seed": seed["seed"],
        "about": "; ".join(describe_seed(seed)),
        "video": f"{folder}/turntable.mp4" if has_video else None,
        "turntable": f"{folder}/turntable.webp",
        "pictures": pictures,
        "files": [(f"{folder}/{name}", name) for name in files],
    }
