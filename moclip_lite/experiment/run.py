"""An experiment from clips to metrics: what is finished already is skipped.

A finished run is recognised without torch, scikit-learn or matplotlib, whose imports take seconds:
:mod:`moclip_lite.experiment.train` is imported when there is work.
"""

from __future__ import annotations

from contextlib import nullcontext

from ..errors import require_packages
from ..extras import TRAINING
from ..parallel.ranks import agree, share
from ..results.metrics import Metrics
from ..streams import Stream, used_sections
from .fingerprint import changed_settings
from .output_place import refuse_among_classes
from .session import Session
from .settings.asked_flips import earlier_decision, without_decided_flips

__all__ = ["run_experiment"]


def run_experiment(session: Session) -> Metrics:
    """Run all stages that are not done yet and write the run folder.

    Returns:
        The content of metrics.json.

    Raises:
        CheckpointError: another run is at work in the run folder.
        MissingPackage: a package that training needs is not installed.
        MoclipError: the input can't be used; what was finished is kept.
    """
    if session.experiment.run.device not in ("auto", "cpu"):
        _ = session.device  # refuse one that is not there before hours of reading
    refuse_among_classes(session.experiment.data, session.experiment.run.dir, "--run-dir")
    run = session.run_folder
    with run.locked(session.reporter.say) if share().leads else nullcontext():
        if not run.metrics.is_file() or changed_settings(run.config, session.saved_experiment):
            _check_networks(session)
        session.extractor.ledger = run.ledger
        metrics = run.read_finished(session.fingerprint)
        if agree([metrics is not None])[0]:
            run.ledger.clear()
            session.reporter.say(f"{run.shown}: nothing to do, this experiment is finished")
            return metrics or Metrics({})
        require_packages(TRAINING)  # before the results of an earlier run are removed
        if share().leads:
            saved = without_decided_flips(run, session.saved_experiment)
            changes = changed_settings(run.config, saved) or run.lacks()
            session.earlier = earlier_decision(run, session.experiment)
            if run.begin():
                session.reporter.say(
                    f"{run.shown}: the results of an earlier run are removed "
                    f"({changes or 'other clips, labels, groups or code'})"
                )
        from .train import train_folds

        metrics = train_folds(session)
        session.trained = True
        return metrics


def _check_networks(session: Session) -> None:
    """Build the motion network and find the image encoder's weights, before clips are read for hours.

    Raises:
        ConfigError, WeightsUnavailable, CheckpointError: they are unavailable.
    """
    experiment = session.experiment
    if session.feature_file is not None or session.inputs.packed is not None:
        return
    sections = used_sections(Stream(name) for name in experiment.run.streams)
    if "train_motion" in sections:
        import torch

        from ..motion.network import build_motion_net

        with torch.random.fork_rng(devices=[]):
            build_motion_net(experiment.motion, len(session.labels))
    if "clip" in sections and experiment.data.appearance is None:
        _ = session.encoder.lazy.digest
