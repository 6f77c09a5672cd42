"""Holds the numbers that the papers print about our suites' questions, and says which may be compared with ours.

Sources: DietNeRF's result files in the history of its repository (the rows of its tables), and the tables of Dream
Fields (arXiv 2112.01455). R-Precision in percent, with its standard error where the paper has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.suites.suite import Published

DIETNERF = "DietNeRF, 8 views"

DIETNERF_ARMS = ("NeRF", "Simplified NeRF", "DietNeRF", "DietNeRF, fine-tuned", "NeRF, 100 views")

DIETNERF_SCENES = {
    "chair": ("21.049/.861/.163", "21.870/.859/.152", "24.633/.898/.092", "25.595/.912/.077", "34.073/.978/.025"),
    "drums": ("17.472/.770/.231", "15.021/.727/.280", "20.034/.843/.117", "20.029/.845/.117", "25.530/.929/.064"),
    "ficus": ("13.728/.661/.354", "21.091/.872/.132", "20.744/.872/.097", "20.940/.874/.094", "29.163/.966/.035"),
    "hotdog": ("10.446/.644/.422", "24.060/.894/.139", "25.250/.904/.097", "26.626/.924/.067", "36.899/.981/.025"),
    "lego": ("9.726/.526/.467", "16.735/.775/.218", "23.896/.863/.110", "24.311/.875/.096", "31.618/.965/.033"),
    "materials": ("7.837/.484/.467", "20.659/.823/.151", "21.254/.843/.102", "21.621/.851/.095", "29.340/.958/.037"),
    "mic": ("26.287/.944/.067", "24.206/.930/.080", "26.321/.944/.053", "26.794/.950/.043", "33.197/.979/.023"),
    "ship": ("12.929/.605/.375", "17.092/.694/.283", "23.043/.758/.204", "22.536/.757/.193", "29.407/.875/.125"),
}
"""PSNR, SSIM and LPIPS of single scenes by arm, from the notebook of DietNeRF's authors. The fine-tuned runs of one or
more scenes are not those of the paper: their mean there is 23.557, in the paper 23.591."""

DREAM_FIELDS = "Dream Fields, table {}"

LIT = "no: LiT was never released"
BY_LIT = "no: guided by LiT, which was never released"


def dietnerf_main() -> tuple[Published, ...]:
    """List DietNeRF's main table: means over the eight scenes, one seed."""
    rows = {
        "NeRF": (14.934, 0.687, 0.318, 228.1, 0.076),
        "Neural Volumes": (17.859, 0.741, 0.245, 239.5, 0.117),
        "Simplified NeRF": (20.092, 0.822, 0.179, 189.2, 0.047),
        "DietNeRF": (23.147, 0.866, 0.109, 74.9, 0.005),
        "DietNeRF, fine-tuned": (23.591, 0.874, 0.097, 72.0, 0.004),
        "NeRF, 100 views": (31.153, 0.954, 0.046, 50.5, 0.001),
    }
    heads = ("PSNR", "SSIM", "LPIPS", "FID", "KID")
    printed = {row: tuple(f"{value:g}" for value in values) for row, values in rows.items()}
    apart = {"Neural Volumes": "no: it is not among our methods"}
    return _published_rows(
        printed, heads, DIETNERF, apart, "yes, on its scenes; FID and KID on Inception's features alone"
    )


def dietnerf_by_scene(scenes: Sequence[str]) -> tuple[Published, ...]:
    """List DietNeRF's numbers of single scenes; of all eight its main table.

    Args:
        scenes: Scenes of NeRF Realistic Synthetic; of more than two, PSNR alone.
    """
    if set(scenes) == set(DIETNERF_SCENES):
        return dietnerf_main()
    metrics = ("PSNR", "SSIM", "LPIPS") if len(scenes) <= 2 else ("PSNR",)
    found = []
    for row, arm in enumerate(DIETNERF_ARMS):
        for scene in scenes:
            values = DIETNERF_SCENES[scene][row].split("/")
            for metric, value in zip(metrics, values, strict=False):
                printed = f"{float(value):g}"
                found.append(Published(arm, f"{metric}, {scene}", printed, DIETNERF, "yes, scene by scene; one seed"))
    return tuple(found)


def dream_fields_priors() -> tuple[Published, ...]:
    """List table 1 of Dream Fields: one prior after the other."""
    rows = {
        "COCO ground truth": ("77.1 ±3.4", "75.2 ±3.5"),
        "simplified NeRF": ("31.4 ±2.7", "10.8 ±1.8"),
        "+ integrated encoding": ("29.7 ±2.6", "12.4 ±1.9"),
        "+ Fourier features": ("24.2 ±2.5", "10.5 ±1.8"),
        "+ random crops": ("25.8 ±2.5", "10.5 ±1.8"),
        "+ transmittance loss": ("23.7 ±2.4", "7.6 ±1.5"),
        "+ backgrounds": ("44.1 ±2.8", "26.1 ±2.5"),
        "+ residual MLP": ("52.0 ±2.9", "27.8 ±2.6"),
        "+ bounds": ("65.4 ±2.7", "38.9 ±2.8"),
        "+ tracked origin": ("59.8 ±2.8", "34.6 ±2.7"),
        "+ LiT ViT B/32 guidance": ("59.5 ±2.8",),
        "+ 20,000 iterations at 252 px": ("68.3 ±2.7",),
    }
    heads = ("by CLIP B/32", "by LiT B/32")
    apart = dict.fromkeys(("+ LiT ViT B/32 guidance", "+ 20,000 iterations at 252 px"), BY_LIT)
    apart["COCO ground truth"] = "no: those images are not ours to render"
    return _published_rows(
        rows, heads, DREAM_FIELDS.format(1), apart, "yes by CLIP B/32, under dreamfields-2022; not by LiT"
    )


def dream_fields_regularizers() -> tuple[Published, ...]:
    """List table 2 of Dream Fields: sparsity regularisers, 153 runs, guided by LiT."""
    rows = {
        "no transmittance loss": "35.3",
        "density noise": "47.7",
        "beta prior": "50.3",
        "gated": "34.6",
        "clipped gated": "62.1",
        "Dream Fields": "62.1",
    }
    source = DREAM_FIELDS.format(2)
    return tuple(Published(row, "by CLIP B/32", value, source, BY_LIT) for row, value in rows.items())


def dream_fields_guides() -> tuple[Published, ...]:
    """List table 3 of Dream Fields: image-text models. In brackets, one model guides and judges."""
    rows = {
        "COCO ground truth": ("77.1 ±3.4", "79.1 ±3.3", "75.2 ±3.5"),
        "guide openai-vit-b-32": ("(86.6 ±2.0)", "74.2 ±2.5", "42.8 ±2.8"),
        "Dream Fields (guide B/16)": ("59.8 ±2.8", "(93.5 ±1.4)", "35.6 ±2.7"),
        "guide LiT B/32": ("59.5 ±2.8", "66.7 ±2.7", "(88.9 ±1.8)"),
    }
    apart = {"guide LiT B/32": LIT, "COCO ground truth": "no: those images are not ours to render"}
    heads = ("by CLIP B/32", "by CLIP B/16", "by LiT B/32")
    return _published_rows(
        rows, heads, DREAM_FIELDS.format(3), apart, "yes by CLIP, under dreamfields-2022; not by LiT"
    )


def dream_fields_voxels() -> tuple[Published, ...]:
    """List appendix D of Dream Fields: a voxel grid of 128 a side, guided by CLIP B/16."""
    source = "Dream Fields, appendix D"
    rows = {"voxel grid": "37.0 ±3.9", "Dream Fields": "59.8 ±2.8"}
    apart = "no: its grid is of PyTorch3D and has 128 a side"
    return tuple(Published(row, "by CLIP B/32", value, source, apart) for row, value in rows.items())


def _published_rows(
    rows: Mapping[str, tuple[str, ...]], heads: tuple[str, ...], source: str, apart: dict[str, str], else_: str
) -> tuple[Published, ...]:
    """List the numbers of a table in its order; a row may have fewer columns than there are."""
    return tuple(
        Published(row, head, value, source, apart.get(row, else_))
        for row, values in rows.items()
        for head, value in zip(heads, values, strict=False)
    )
