"""Makes meshes that a reader can turn: the first objects of each table's baseline, each in a viewer.

A viewer is one page that loads nothing: trimesh's own, with the mesh in it, and with keys that turn it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from bench.errors import UsageError
from bench.export import mesh, mesh_grid, surface
from bench.export.field import field_of
from bench.report.images.interactive_media import MeshViewer
from bench.report.page import html
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial

RESOLUTION = 48
"""Resolution of the mesh's grid: about a megabyte an object. `python -m bench export` makes finer ones."""

FOLDER = "objects"

EYE = (3.4, 2.5, 4.6)
"""Where the viewer's camera stands, y up, in half widths of the cube that is meshed."""

DIMMED = 0.75
"""Share of its colours that an object shows, so that the viewer's lamp, which is strong, does not bleach it."""


def make_viewers(
    cells: Sequence[TrialSlot], trials: Mapping[str, Trial], store: TrialReader, num_objects: int
) -> tuple[MeshViewer, ...]:
    """Make viewers of the first trials whose parameters are stored and that have a surface.

    Args:
        cells: Places of baselines, in the order in which they are tried.
        trials: Trials by id.
        store: Store with parameters.
        num_objects: Number of viewers at most.
    """
    found: dict[str, MeshViewer] = {}
    for cell in cells:
        if len(found) >= num_objects:
            break
        if cell.trial_id not in found and store.finished(cell.trial_id):
            viewer = make_viewer(cell, trials[cell.trial_id], store)
            if viewer is not None:
                found[cell.trial_id] = viewer
    return tuple(found.values())


def make_viewer(cell: TrialSlot, trial: Trial, store: TrialReader) -> MeshViewer | None:
    """Make the viewer of one trial; None where it has no stored parameters, or no surface."""
    try:
        field = field_of(trial, store.parameters(trial.id))
    except UsageError:  # none are kept of it, or they are of another version: the page does without
        return None
    meshed = mesh.mesh(field, resolution=RESOLUTION)
    if meshed.surface is None:
        return None
    low, high = np.asarray(meshed.box)
    centred: Any = meshed.mesh
    centred.apply_translation(-0.5 * (low + high))
    centred.apply_scale(mesh_grid.scale_of(field))
    half_width = 0.5 * mesh_grid.scale_of(field) * float((high - low).max())
    turned = surface.turn_upright(centred, field.capture)
    model = surface.glb(turned)
    contents = {
        f"{FOLDER}/{trial.id}.html": render_viewer(add_viewer_settings(model, half_width), cell.cluster).encode(),
        f"{FOLDER}/{trial.id}.glb": model,
    }
    return MeshViewer(trial.id, cell.cluster, cell.arm, meshed.told(), contents)


class GlbScene:
    """A scene as trimesh's viewer asks for one: it has a binary glTF to export."""

    camera = None

    def __init__(self, model: bytes) -> None:
        self.model = model

    def export(self, file_type: str) -> bytes:
        """Return the bytes; there is one type."""
        assert file_type == "glb"
        return self.model


def render_viewer(model: bytes, name: str) -> str:
    """Render trimesh's viewer of a model that has a camera, under the name of its object.

    Args:
        model: Binary glTF, as `add_viewer_settings` returns it.
        name: Title of the page; a person's text.
    """
    from trimesh.viewer.notebook import scene_to_html

    viewer = scene_to_html(GlbScene(model))
    before_title, _, rest = viewer.partition("<title>trimesh: threejs viewer</title>")
    after_title, end, tail = rest.rpartition("</body>")
    return html.render_template(
        "mesh_viewer.html.j2",
        before_title=Markup(before_title),
        name=name,
        after_title=Markup(after_title),
        end=Markup(end + tail),
    )


def add_viewer_settings(model: bytes, half_width: float) -> bytes:
    """Add to a binary glTF what the viewer needs: a camera, and colours of a screen.

    The viewer takes the first camera that there is, and puts numbers on the screen as they stand.

    Args:
        model: As `bench.export.surface.glb` makes it: its JSON, then one buffer; linear colours as four numbers each.
        half_width: Half the width of the cube about the origin that the camera sees.
    """
    length = struct.unpack_from("<I", model, 12)[0]
    tree = json.loads(model[20 : 20 + length])
    rest = bytearray(model[20 + length :])
    [drawn] = tree["meshes"][0]["primitives"]
    accessor = tree["accessors"][drawn["attributes"]["COLOR_0"]]
    start = 8 + tree["bufferViews"][accessor["bufferView"]].get("byteOffset", 0) + accessor.get("byteOffset", 0)
    linear = np.frombuffer(rest, "<f4", 4 * accessor["count"], start).reshape(-1, 4)[:, :3]
    screen = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    colors = np.pad(screen, ((0, 0), (0, 1)), constant_values=1).astype("<f4")
    rest[start : start + colors.nbytes] = colors.tobytes()
    tree["materials"][drawn["material"]]["pbrMetallicRoughness"]["baseColorFactor"] = [DIMMED] * 3 + [1.0]
    add_camera(tree, half_width)
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
    return head + text + bytes(rest)


def add_camera(tree: dict[str, Any], half_width: float) -> None:
    """Put a camera that looks at the origin into a glTF's JSON."""
    eye = np.asarray(EYE) * half_width
    back = eye / np.linalg.norm(eye)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, eye], axis=1)
    tree["cameras"] = [{"type": "perspective", "perspective": {"yfov": 0.6, "znear": 0.01, "aspectRatio": 1.0}}]
    tree["nodes"].append({"name": "camera", "camera": 0, "matrix": pose.T.ravel().round(6).tolist()})
    tree["scenes"][tree.get("scene", 0)]["nodes"].append(len(tree["nodes"]) - 1)
