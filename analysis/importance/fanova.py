"""What Optuna's fANOVA says of a study: a peer's view, shown beside ours and labelled as such."""

from __future__ import annotations

import warnings

import numpy as np

from analysis.importance.indices import PEER, TOO_FEW, Importance, Share
from analysis.statistics.intervals import Interval
from deepsight.optuna_distributions import to_distribution
from deepsight.run_store import Study, TrialRecord

METHOD = "Optuna's fANOVA of trials that completed the full budget (Hutter et al. 2014)"
MIN_TRIALS = 4


def compute_fanova(study: Study, seed: int = 0) -> Importance:
    """Main shares as `optuna.importance.FanovaImportanceEvaluator` computes them.

    It sees the survivors only, which early stopping chose by their score; it has no intervals, no
    noise threshold and no verdict of its own. Conditional hyperparameters, which it refuses, are
    left out.
    """
    records = [r for r in study.records if study.has_full_budget(r)]
    records = [r for r in records if study.score(r) is not None]
    names = [n for n, domain in study.space.items() if domain.condition is None]
    left_out = [(n, "fANOVA takes no conditional ones") for n in study.space if n not in names]
    shares: tuple[Share, ...] = ()
    scores = {study.score(r) for r in records}
    points = {tuple(str(r.config.get(name)) for name in names) for r in records}
    if len(records) >= MIN_TRIALS and len(scores) > 1 and len(points) > 1:
        shares = _shares(study, records, names, seed)
    return Importance(
        what=study.metric,
        method=METHOD,
        region="all",
        epoch=study.max_epochs,
        shares=shares,
        left_out=tuple(left_out),
        pairs=(),
        noise_threshold=0.0,
        verdict=PEER if shares else TOO_FEW,
        obstacle=None,
        no_model="",
        leads=None,
        quality=None,
        has_intervals=False,
        num_trials=len(records),
        num_explorers=sum(r.explorer for r in records),
    )


def _shares(
    study: Study, records: list[TrialRecord], names: list[str], seed: int
) -> tuple[Share, ...]:
    import optuna

    scores = np.array([study.score(record) for record in records], dtype=float)
    values = np.round((scores - scores.mean()) / scores.std(), 9)  # the same forest in every unit
    distributions = {name: to_distribution(study.space[name]) for name in names}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    finished = optuna.create_study(
        direction="maximize" if study.objective.maximizes else "minimize"
    )
    for record, value in zip(records, values.tolist(), strict=True):
        params = {name: record.config[name] for name in names}
        finished.add_trial(
            optuna.create_trial(value=value, params=params, distributions=distributions)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        found = optuna.importance.get_param_importances(finished, evaluator=evaluator)
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return tuple(
        Share(
            name=name,
            main=Interval(v, v, v),
            total=Interval(v, v, v),
            above_noise=False,
            rank_low=place,
            rank_high=place,
        )
        for place, (name, v) in enumerate(ordered, start=1)
    )
