"""Lists the encoders that have names of their own, and finds their weights on disk.

`loading.load` accepts these names, those of `models.imagenet.catalog`, and names that contain the path of a file.
"""

from __future__ import annotations

import dataclasses
import pathlib

from bench.errors import UsageError
from models.clip.checkpoints import hub
from models.clip.checkpoints.hub import HubFile
from models.imagenet.catalog import IMAGENET
from tasks.data_dir import location

EMBEDDED_FOLDER = pathlib.Path(__file__).parent.parent / "embedded"

EMBEDDED: dict[str, str] = {
    "embedded-vit-8": "d471228b45de2fd374a6ba93147c6f6db1ebacac82e3ca12636359ca85839ccd",
    "embedded-vit-16": "bf6e4a2f01b31a515d8117f34e6c6494530f5ea1266ccd83ba8e34b955b9225a",
    "embedded-vit-8-labels": "74a77c5ebf085a0f10c19ffa9b72f380311215095e2b98ab3e1821687bde9219",
    "embedded-vit-8-attacked": "f160ed2bc105a8fba4b540cdb1b61f982cff4249a836606177911782f1f5615c",
    "embedded-vit-8-large": "d30fd380f154e682335cc9e67e3a1f0aea07843ef2700bf29b0bfc188d3ea3be",
    "embedded-judge-rn": "61e4bc5d91e14e84ed26ce60488e9be5c218d9dc6f9403bdd22686412124d708",
    "embedded-judge-vit": "db61c1e56cd41e4bba191f3666c2e512818d4be514c11c2bf24625125d08037a",
}
"""SHA-256 of the file in `embedded/`, by the name of each encoder that comes with the project."""

JUDGES = ("embedded-judge-rn", "embedded-judge-vit")
"""Embedded encoders that never guide. They are trained on other renders under other light, so that they may judge."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedCheckpoint:
    """A published checkpoint.

    Attributes:
        name: Name that users write.
        architecture: open_clip's name, whose ending tells the activation that the weights were trained with.
        trained_on: Name of the training data.
        sources: Files that hold it. The first one is downloaded; any of them may be put on disk by hand. Empty if no
            revision is pinned.
        openai_sha256: SHA-256 of OpenAI's original TorchScript file.
    """

    name: str
    architecture: str
    trained_on: str
    sources: tuple[HubFile, ...] = ()
    openai_sha256: str | None = None

    @property
    def manual_path(self) -> pathlib.Path:
        """Path of a file that was put on disk by hand. It is looked for first."""
        return weights_folder() / f"{self.name}.safetensors"

    @property
    def how_to_get(self) -> str:
        """Advice for a machine without a network, for the end of a message."""
        ways = []
        if self.sources:
            ways.append(
                f"where there is a network do `{self.sources[0].command}` and put the file at {self.manual_path}"
            )
        if self.openai_sha256:
            ways.append(
                f"with OpenAI's original file (SHA-256 {self.openai_sha256}) and torch do "
                f"`python -m bench encoders --convert {self.name}=PATH`"
            )
        if not self.sources:
            ways.append(f"name a file of open_clip's as open_clip:{self.architecture}/PATH")
        return "; or ".join(ways)


def _open_clip_file(repository: str, revision: str, sha256: str, num_bytes: int | None = None) -> HubFile:
    return HubFile(
        repository=repository, file="open_clip_model.safetensors", revision=revision, sha256=sha256, num_bytes=num_bytes
    )


# fmt: off
# Hashes of OpenAI's files are part of their published URLs; the others are those of the pinned revisions.
ENTRIES: dict[str, PublishedCheckpoint] = {
    entry.name: entry
    for entry in (
        PublishedCheckpoint(
            name="openai-vit-b-32", architecture="ViT-B-32-quickgelu", trained_on="WIT-400M",
            sources=(_open_clip_file(
                "timm/vit_base_patch32_clip_224.openai", "a6f597a30f7b82c51704746581f9a4e41421e878",
                "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31", 605_143_284,
            ),),
            openai_sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        ),
        PublishedCheckpoint(
            name="openai-vit-b-16", architecture="ViT-B-16-quickgelu", trained_on="WIT-400M",
            sources=(_open_clip_file(
                "timm/vit_base_patch16_clip_224.openai", "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
                "4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
            ),),
            openai_sha256="5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        ),
        PublishedCheckpoint(
            name="openai-vit-l-14", architecture="ViT-L-14-quickgelu", trained_on="WIT-400M",
            sources=(
                _open_clip_file(
                    "timm/vit_large_patch14_clip_224.openai", "18d0535469bb561bf468d76c1d73aa35156c922b",
                    "9ce2e8a8ebfff3793d7d375ad6d3c35cb9aebf3de7ace0fc7308accab7cd207e",
                ),
                HubFile(
                    repository="openai/clip-vit-large-patch14", file="model.safetensors",
                    revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
                    sha256="a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb", num_bytes=1_710_540_580,
                ),
            ),
            openai_sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        ),
        PublishedCheckpoint(
            name="openai-vit-l-14-336", architecture="ViT-L-14-336-quickgelu", trained_on="WIT-400M",
            sources=(_open_clip_file(
                "timm/vit_large_patch14_clip_336.openai", "81e38efc4637de5023b10e75a7f9bd1c6fa6b010",
                "fbc415c3d0d7b79faed8f5ccfb740c32b7c4f5ffe7283b851f89c6231c01a8e0", 1_711_828_444,
            ),),
            openai_sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        ),
        PublishedCheckpoint(
            name="openai-rn50", architecture="RN50-quickgelu", trained_on="WIT-400M",
            sources=(_open_clip_file(
                "timm/resnet50_clip.openai", "ec3d92cf63a5f9d591f0d611b736895966c73076",
                "da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee", 408_291_932,
            ),),
            openai_sha256="afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        ),
        PublishedCheckpoint(
            name="openai-rn101", architecture="RN101-quickgelu", trained_on="WIT-400M",
            openai_sha256="8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
        ),
        PublishedCheckpoint(
            name="openai-rn50x4", architecture="RN50x4-quickgelu", trained_on="WIT-400M",
            openai_sha256="7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
        ),
        PublishedCheckpoint(
            name="laion2b-vit-b-32", architecture="ViT-B-32", trained_on="LAION-2B",
            sources=(_open_clip_file(
                "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "1a25a446712ba5ee05982a381eed697ef9b435cf",
                "ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6", 605_143_316,
            ),),
        ),
    )
}
# fmt: on


def check_guide(name: str) -> None:
    """Refuse a judge as the encoder that a field is trained with.

    Raises:
        UsageError: The name is a judge's. The message lists the embedded encoders that may guide.
    """
    if name in JUDGES:
        guides = ", ".join(known for known in EMBEDDED if known not in JUDGES)
        raise UsageError(
            f"encoder: expected one that may guide, got {name!r}, which is kept for judging; choose {guides}"
        )


def weights_fingerprint(name: str) -> str | None:
    """Return the SHA-256 of an encoder's weights, from the catalog or of a named file; None if there is neither."""
    if name in EMBEDDED:
        return EMBEDDED[name]
    if name in IMAGENET:
        return IMAGENET[name].sha256
    if name in ENTRIES:
        entry = ENTRIES[name]
        return entry.sources[0].sha256 if entry.sources else entry.openai_sha256
    path = pathlib.Path(name.partition(":")[2]).expanduser()
    return hub.remembered_sha256(path) if path.is_file() else None


def weights_folder() -> pathlib.Path:
    """Return the folder for weights that are put on disk by hand: `encoders/` in the cache folder."""
    return location.folder() / "encoders"


def find_weights(name: str) -> pathlib.Path | None:
    """Return the path of an entry's weights on disk; None if there are none. Uses no network and hashes no file."""
    if name in EMBEDDED:
        return EMBEDDED_FOLDER / f"{name}.safetensors"
    if name in IMAGENET:
        return IMAGENET[name].find()
    entry = ENTRIES[name]
    if entry.manual_path.is_file():
        return entry.manual_path
    return hub.find_in_cache(entry.sources[0]) if entry.sources else None
