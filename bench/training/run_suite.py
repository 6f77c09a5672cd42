"""Trains the trials of a suite that are not stored yet."""

from __future__ import annotations

import argparse
import sys

from bench.storage.record import Outcome
from bench.storage.store import Store
from bench.suites import selection
from bench.suites.trial import Trial
from bench.training import devices, packing, scheduler
from bench.training.progress import ProgressTable
from models.clip.checkpoints import catalog
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.task import SceneTask


def train_missing(args: argparse.Namespace, chosen: selection.Selection, trials_store: Store) -> int:
    """Trains the trials that are neither finished nor failed; says how many there were."""
    missing = [t for t in chosen.trials if not (trials_store.finished(t.id) or trials_store.failed(t.id))]
    if not missing:
        return 0
    if any(isinstance(trial.task, SceneTask) for trial in missing):
        check_scorers()
    check_encoders(missing)
    warn_of_words(missing)
    prepare_data(missing)
    pack_size = args.pack_size or packing.default_pack_size("accelerator" if devices.num_accelerators() else "cpu")
    packs = packing.make_packs(missing, pack_size)
    num_done = sum(trials_store.finished(t.id) for t in chosen.trials)
    with ProgressTable(len(chosen.trials), num_done, trials_store.write_status) as board:

        def keep(outcome: Outcome) -> None:
            trials_store.write(outcome)
            board.on_outcome(outcome)

        try:
            scheduler.run(
                packs,
                chosen.protocols,
                executor=args.executor,
                address=args.address,
                on_outcome=keep,
                on_progress=board.on_progress,
            )
        finally:
            trials_store.clear_status()
    return len(missing)


def check_scorers() -> None:
    """Refuses altered LPIPS weights before anything is trained, not after."""
    from bench.metrics import lpips

    for network in ("alex", "vgg"):
        lpips.load_weights(network)


def check_encoders(trials: list[Trial]) -> None:
    """Refuses encoders that are not on disk and cannot be fetched before anything is trained; fetches the others."""
    from models import clip

    for name in dict.fromkeys(name for trial in trials for name in trial.method.encoders):
        clip.load(name)


def warn_of_words(trials: list[Trial]) -> None:
    """Says once of each caption that an embedded guide cannot have learnt it, and what it knows."""
    said = {
        trial.task.caption: grammar.warning(trial.task.caption)
        for trial in trials
        if isinstance(trial.task, CaptionTask) and set(trial.method.encoders) & set(catalog.EMBEDDED)
    }
    for warning in filter(None, said.values()):
        print(f"warning: {warning}", file=sys.stderr)


def prepare_data(trials: list[Trial]) -> None:
    """Renders or reads what the trials need before any worker starts."""
    from tasks.sparse_views import embedded

    embedded.prepare_all([trial.task for trial in trials])
