"""Writes the page of `generate`: the objects of a caption, with views, videos and meshes."""

from __future__ import annotations

from typing import Any

from bench.export.text_to_3d import WORLD
from bench.report.page import html


def sentences(made: dict[str, Any]) -> list[str]:
    """One seed for a person: how it ended, what the judge says, what the mesh is like."""
    if made["state"] == "failed":
        return [f"failed: {made['reason']}"]
    said = [] if made["state"] == "ok" else [f"the field is {made['state']}"]
    if made["margin"] is None:
        said.append(f"not judged: {made['reason']}")
    else:
        said.append(
            f"judge's margin {made['margin']:+.4f}, caption found in {100 * (made['rprec1'] or 0):.0f}% of views"
        )
    return [*said, made["mesh_told"], *(note for note in made["notes"] if note != made["mesh_told"])]


STYLE = """<style>
.object { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.object video, .object > img { width: min(320px, 100%); border: 1px solid var(--line); border-radius: 6px; }
.object > div { flex: 1 1 420px; min-width: 0; }
.object figure { margin: 0 0 16px; } .object figure img { max-width: 100%; height: auto; background: #fff; }
</style>"""


def page(told: dict[str, Any]) -> str:
    """The page of a summary; what it shows lies beside it."""
    set_name = "the closed world's captions" if told["captions"]["name"] == WORLD else "captions.txt"
    prompt = f", read as “{told['prompt']}”" if told["prompt"] != told["caption"] else ""
    head = (
        f"Guided by {told['guide']}{prompt}; {told['num_steps']} steps at budget {told['budget']} on "
        f"{told['num_devices']} x {told['device']}. Ordered by the margin of {told['judge']}, which guided "
        f"none of them: the cosine of this caption less that of the best of {told['captions']['size'] - 1} others "
        f"({set_name})."
    )
    seconds = "".join(
        f"<dt>{html.escaped(name.removesuffix('_s'))}</dt><dd>{value:.1f} s</dd>"
        for name, value in told["seconds"].items()
    )
    body = [
        STYLE,
        f'<header>\n<h1>{html.escaped(told["caption"])}</h1>\n<p class="small">{html.escaped(head)}</p>\n</header>',
        *(section(made) for made in told["objects"]),
        f"<section>\n<h2>How it was made</h2>\n<pre>{html.escaped(told['command'])}</pre>",
        f"<dl>{seconds}</dl>\n</section>",
    ]
    return html.document(told["caption"], "\n".join(body))


def section(made: dict[str, Any]) -> str:
    """One seed: its turntable, its pictures, its files."""
    where = made["folder"]
    title = f'<section>\n<h2>Seed {made["seed"]}</h2>\n<p class="small">{html.escaped("; ".join(sentences(made)))}</p>'
    if not made["files"]:
        return f"{title}\n</section>"
    if "turntable.mp4" in made["files"]:
        shown = f'<video src="{where}/turntable.mp4" autoplay loop muted playsinline controls></video>'
    else:
        shown = f'<img src="{where}/turntable.webp" alt="turntable">'
    pictures = "\n".join(
        f'<figure><a href="{where}/{name}"><img src="{where}/{name}" loading="lazy" alt="{alt}"></a></figure>'
        for name, alt in (
            ("views.png", "eight views"), ("strip.png", "renders over training"), ("curves.png", "curves of training")
        ) if name in made["files"]
    )  # fmt: skip
    links = ", ".join(html.link(f"{where}/{name}", name) for name in made["files"])
    return f'{title}\n<div class="object">{shown}<div>{pictures}</div></div>\n<p class="small">{links}</p>\n</section>'
