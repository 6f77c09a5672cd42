"""Measures how fast views are scored, beside torchmetrics on the same device.

The same views are scored by PSNR, SSIM and LPIPS on VGG: here, with each way to compute products, and by torchmetrics
where that is installed. Then every scorer is timed alone, and every judge of captions: its first call, which compiles,
and the following ones. Nothing is taken from the cache of compiled programs. `python -m bench profile --scoring` prints
it.

torchmetrics gets the weights of our LPIPS, as its own are fetched from a network.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bench.metrics import caption_protocols, image, lpips, photo_scorers, r_precision
from bench.metrics.kept_photographs import Photographs
from models.clip.checkpoints import catalog
from tasks.captions.caption_sets import caption_set

METRICS = ("psnr", "ssim", "lpips_vgg")
"""What is compared with torchmetrics."""

TORCH_BATCH = 5
"""Views of a call of torchmetrics."""

Numbers = dict[str, Float[np.ndarray, " n"]]
"""By metric, a number for each view."""


class Timing(NamedTuple):
    """Seconds of a call.

    Attributes:
        first_s: Of the first one, which compiles.
        again_s: Of a later one, the median.
    """

    first_s: float
    again_s: float


def time_calls(call: Callable[[], Any], repeats: int) -> tuple[Any, Timing]:
    """Call something that returns when its result is in the host's memory; return its result and the time."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return result, Timing(seconds[0], statistics.median(seconds[1:]))


def make_views(num_views: int, image_px: int) -> photo_scorers.ViewsAndTruth:
    """Make smooth views with noise over them, which stand for renders: what they show costs no time.

    Colours are in float16, as the views of a trial are stored.
    """
    key = np.random.default_rng(0)
    rows, columns = np.mgrid[:image_px, :image_px] / image_px
    waves = np.sin(9 * rows[..., None] * key.random((num_views, 1, 1, 3)) + 7 * columns[..., None])
    truth = (0.5 + 0.4 * waves).astype(np.float32)
    noise = 0.05 * key.standard_normal(truth.shape, np.float32)
    alphas = np.repeat((rows[None] < 0.9).astype(np.float32), num_views, axis=0)
    near = np.zeros((2, 4, 4), np.float16)
    return photo_scorers.ViewsAndTruth(np.clip(truth + noise, 0, 1).astype(np.float16), truth, alphas, near)


def score_here(views: photo_scorers.ViewsAndTruth, precision: lpips.Precision) -> Numbers:
    """Score views by `METRICS`, with LPIPS in the precision."""
    scores: list[Callable[..., Any]] = [
        _PSNR,
        _SSIM,
        functools.partial(lpips.lpips, network="vgg", precision=precision),
    ]
    answers = image.per_image_by_each(scores, views.color, views.truth)
    return dict(zip(METRICS, answers, strict=True))


_PSNR = jax.jit(functools.partial(image.psnr, clip=False))
_SSIM = jax.jit(image.ssim)


# ---- torchmetrics ----------------------------------------------------------------------------------------------------


def torchmetrics_scorer(is_exact: bool) -> Callable[[photo_scorers.ViewsAndTruth], Numbers]:
    """Return the function that scores views by torchmetrics, on a GPU if PyTorch sees one.

    Args:
        is_exact: Whether convolutions are computed in float32 rather than in TF32, which PyTorch takes by itself.
    """
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    place = "cuda" if torch.cuda.is_available() else "cpu"
    net = torch_network().to(place)
    all_but_first = (1, 2, 3)

    def score(views: photo_scorers.ViewsAndTruth) -> Numbers:
        torch.backends.cudnn.allow_tf32 = not is_exact
        found: dict[str, list[Any]] = {name: [] for name in METRICS}
        with torch.no_grad():
            for start in range(0, len(views.color), TORCH_BATCH):
                pair = []
                for x in (views.color, views.truth):
                    put = torch.from_numpy(np.ascontiguousarray(x[start : start + TORCH_BATCH])).to(place)
                    pair.append(put.permute(0, 3, 1, 2).contiguous())
                found["psnr"].append(
                    peak_signal_noise_ratio(*pair, data_range=1.0, reduction="none", dim=all_but_first)
                )
                _, ssim = structural_similarity_index_measure(
                    *pair, data_range=1.0, reduction="none", return_full_image=True
                )
                # Its own mean counts windows that reach over the border, into a reflection.
                inner = slice(image.SSIM_MIN_PX // 2, -(image.SSIM_MIN_PX // 2))
                found["ssim"].append(ssim[..., inner, inner].mean(dim=all_but_first))
                found["lpips_vgg"].append(net(*pair, normalize=True).reshape(-1))
        return {name: torch.cat([x.reshape(-1) for x in parts]).cpu().numpy() for name, parts in found.items()}

    return score


def torch_network() -> Any:
    """Build torchmetrics' LPIPS on VGG with the weights of ours."""
    import torch
    from torchmetrics.functional.image import lpips as theirs

    weights: Any = jax.device_get(lpips.load_weights("vgg"))
    layers: list[Any] = []
    num_in = 3
    for layer in lpips.LAYERS["vgg"]:
        if isinstance(layer, lpips.Pooling):
            layers.append(torch.nn.MaxPool2d(2))
            continue
        parameters = weights["VGG16_0"][f"Conv_{sum(isinstance(x, torch.nn.Conv2d) for x in layers)}"]
        num_out = len(parameters["bias"])
        convolution = torch.nn.Conv2d(num_in, num_out, 3, padding=1)
        convolution.weight.data = torch.from_numpy(np.transpose(parameters["kernel"], (3, 2, 0, 1)).copy())
        convolution.bias.data = torch.from_numpy(parameters["bias"].copy())
        layers += [convolution, torch.nn.ReLU(inplace=True)]
        num_in = num_out
    # It takes them from torchvision, which need not be there.
    theirs._get_tv_model_features = lambda net, pretrained=False: torch.nn.Sequential(*layers)
    net = theirs._LPIPS(pretrained=False, net="vgg", pnet_rand=True)
    for i, lin in enumerate(net.lins):
        kernel = weights[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
        lin.model[-1].weight.data = torch.from_numpy(np.transpose(kernel, (3, 2, 0, 1)).copy())
    return net.eval()


# ---- rows ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoringSpeedOptions:
    """Says which pictures are timed, and how often.

    Attributes:
        image_px: Width and height of photographs.
        view_px: Width and height of views of captions.
        num_views: Photographs.
        repeats: Timed calls.
    """

    image_px: int = 400
    view_px: int = 64
    num_views: int = 25
    repeats: int = 5


class SpeedRow(NamedTuple):
    """Holds the times of one scorer, or of all together.

    Attributes:
        what: Its name.
        first_s: Seconds of the first call, which compiles.
        ms_a_view: Milliseconds of a later one, by view or caption; None where nothing was measured.
        views_a_second: The same the other way round.
        largest_differences: By metric, from float32 here; empty where nothing is compared.
        note: Why nothing was measured.
    """

    what: str
    first_s: float | None = None
    ms_a_view: float | None = None
    views_a_second: float | None = None
    largest_differences: dict[str, float] = {}
    note: str = ""

    @classmethod
    def of(cls, what: str, timing: Timing, num_views: int, **more: Any) -> SpeedRow:
        """Make a row of the times of calls."""
        return cls(
            what,
            round(timing.first_s, 3),
            round(1e3 * timing.again_s / num_views, 4),
            round(num_views / timing.again_s, 1),
            **more,
        )


def measure_scoring(options: ScoringSpeedOptions) -> Iterator[SpeedRow]:
    """Measure everything, a row at a time."""
    views = make_views(options.num_views, options.image_px)
    yield from measure_against_torchmetrics(views, options.repeats)
    for name in photo_scorers.METRIC_NAMES:
        _, timing = time_calls(functools.partial(photo_scorers.score_photos, [name], views), options.repeats)
        yield SpeedRow.of(name, timing, options.num_views)
    yield from measure_judges(options.view_px, options.repeats)


def measure_against_torchmetrics(views: photo_scorers.ViewsAndTruth, repeats: int) -> Iterator[SpeedRow]:
    """Measure `METRICS` here and by torchmetrics; differences are from float32 here.

    Photographs are known where other trials of the scene were scored before. There views are scored from float16, as
    the views of a trial are stored. The other rows, torchmetrics' too, get the same values as arrays of float32, which
    are made before the clock starts.

    Args:
        views: With colours in float16.
        repeats: Timed calls.
    """
    num_views = len(views.color)
    as_float32 = views._replace(color=views.color.astype(np.float32))
    exact: Numbers = {}
    for precision in lpips.PRECISIONS:
        numbers, timing = time_calls(functools.partial(score_here, as_float32, precision), repeats)
        exact = exact or numbers
        found = largest_differences(numbers, exact)
        yield SpeedRow.of(f"here, {precision}", timing, num_views, largest_differences=found)
    known = views._replace(photographs=Photographs((views.truth,), ()))
    scored, timing = time_calls(functools.partial(photo_scorers.score_photos, METRICS, known), repeats)
    numbers = {name: np.asarray(found.values, np.float32) for name, found in scored.items()}
    found = largest_differences(numbers, exact)
    yield SpeedRow.of("here, photographs known", timing, num_views, largest_differences=found)
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("torchmetrics") is None:
        yield SpeedRow("torchmetrics", note="not installed: pip install torch torchmetrics")
        return
    for is_exact in (True, False):
        score = torchmetrics_scorer(is_exact)
        numbers, timing = time_calls(functools.partial(score, as_float32), repeats)
        name = "torchmetrics, float32" if is_exact else "torchmetrics, as it comes"
        found = largest_differences(numbers, exact)
        yield SpeedRow.of(name, timing, num_views, largest_differences=found)


def largest_differences(numbers: Numbers, exact: Numbers) -> dict[str, float]:
    """Return the largest difference of each metric."""
    return {name: float(f"{np.abs(numbers[name] - exact[name]).max():.2g}") for name in exact}


def measure_judges(view_px: int, repeats: int) -> Iterator[SpeedRow]:
    """Measure the embedded judges of captions on the 16 views of a trial, and their reading of the closed world."""
    views = make_views(r_precision.BATCH, view_px).color.astype(np.float32)
    captions = caption_set("closed-world")
    for name in catalog.EMBEDDED:
        encoder = caption_protocols.encoder_of(name)
        if isinstance(encoder, str):
            yield SpeedRow(name, note=encoder)
            continue
        _, timing = time_calls(functools.partial(r_precision.image_embeddings, encoder, views), repeats)
        yield SpeedRow.of(f"{name}, views", timing, len(views))
        _, timing = time_calls(functools.partial(r_precision.text_embeddings, encoder, captions), 1)
        yield SpeedRow.of(f"{name}, captions", timing, len(captions.captions))
