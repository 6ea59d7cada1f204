"""Is the learning-rate and batch rule right? Half, default and double of each at three sizes of a study.

A rule that mistunes small models tilts every exponent fitted through them, so the rule is tried where the study
uses it: at its smallest, middle and largest size, each at the budget of that size nearest to the middle of its
valley. The default's loss must lie within 0.5 % of the best tried.

    python benchmarks/hyperparameters.py [--quick] [--experiment quickstart] [--factors 0.5 1 2]
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_module

from scaling.config.schema import MuonConfig, SweepConfig, load, register
from scaling.corpus import prepare
from scaling.records.records import load_sweep
from scaling.shape.rungs import expected_params
from scaling.sweep.design import planned_runs
from scaling.sweep.workers import run_in_workers
from scaling.training.job import plan_job
from scaling.training.resolve import pinned, resolve_shape

LIMIT = 0.005  # largest relative excess of the default's loss over the best


def study_config(experiment: str, overrides: list[str]) -> SweepConfig:
    """The typed config of an experiment."""
    register()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        config = load(compose("sweep", [f"experiment={experiment}", *overrides]))
    assert isinstance(config, SweepConfig)
    return config


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smallest size only")
    parser.add_argument("--experiment", default="quickstart")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--what", nargs="+", default=["lr", "batch"], choices=["lr", "batch", "ratio"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[0, 1, 2], help="0 smallest, 1 middle, 2 largest"
    )
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("overrides", nargs="*", help="key=value, as for scaling sweep")
    arguments = parser.parse_args()

    config = study_config(arguments.experiment, arguments.overrides)
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    runs = planned_runs(config.design, resolve_shape(config, corpus.vocab_size), config.seed)
    sizes = sorted({run.params_total for run in runs})
    chosen = [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
    chosen = [chosen[i] for i in ([0] if arguments.quick else arguments.sizes)]

    with tempfile.TemporaryDirectory() as folder:
        jobs, rows = [], []
        for params in chosen:
            at_size = [run for run in runs if run.params_total == params]
            run = min(
                at_size,
                key=lambda r: abs(r.params_total / expected_params(config.design, r.budget_flops) - 1),
            )
            base = replace(
                config,
                out=folder,
                branches=[],
                tokens=run.tokens,
                model=pinned(config.model, run.shape),
            )
            recipe = plan_job(replace(base, name="probe"), corpus).recipe
            for what in arguments.what:
                for factor in arguments.factors:
                    for seed in range(arguments.seeds):
                        if what != "lr" and factor == 1:
                            continue  # the same run as the learning rate's
                        optim = replace(base.optim, lr=recipe.lr)
                        if what == "lr":
                            optim = replace(optim, lr=recipe.lr * factor)
                        elif what == "ratio":
                            assert isinstance(optim, MuonConfig)
                            optim = replace(optim, muon_lr_ratio=optim.muon_lr_ratio * factor)
                        else:
                            optim = replace(
                                optim,
                                batch_smallest=round(optim.batch_smallest * factor),
                                batch_reference=round(optim.batch_reference * factor),
                            )
                        name = f"{params}-{what}-{factor}-{seed}"
                        jobs.append(replace(base, optim=optim, name=name, seed=seed))
                        batch = round(config.optim.batch_reference * (factor if what == "batch" else 1))
                        rows.append(
                            {"params_total": params, "tokens": run.tokens, "what": what, "factor": factor,
                             "seed": seed, "lr": optim.lr, "batch_reference": batch}
                        )  # fmt: skip
        order = sorted(range(len(jobs)), key=lambda i: -rows[i]["params_total"])
        errors = run_in_workers([jobs[i] for i in order], 2)
        for index, error in zip(order, errors, strict=True):
            if error is not None:
                print(f"{jobs[index].name}: {error}", file=sys.stderr)
        records = load_sweep(folder).set_index("trunk_id")
        for job, row in zip(jobs, rows, strict=True):
            row["loss_nats"] = records.loc[job.name, "loss_nats"]
            row["loss_se_nats"] = records.loc[job.name, "loss_se_nats"]
            row["wall_seconds"] = records.loc[job.name, "wall_seconds"]

    frame = pd.DataFrame(rows)
    mean = frame.groupby(["params_total", "what", "factor"], as_index=False).agg(
        tokens=("tokens", "first"), lr=("lr", "first"), batch_reference=("batch_reference", "first"),
        loss_nats=("loss_nats", "mean"), seeds=("seed", "nunique"), wall_seconds=("wall_seconds", "mean"),
    )  # fmt: skip
    default = mean[(mean["what"] == "lr") & (mean["factor"] == 1)].set_index("params_total")["loss_nats"]
    mean["excess_of_default"] = mean["params_total"].map(default) / mean["loss_nats"] - 1
    if arguments.out:
        mean.to_csv(arguments.out, index=False, float_format="%.6g")
    print(mean.to_string(index=False, float_format=lambda value: f"{value:.5g}"))
    worst = mean["excess_of_default"].max()
    print(f"\nlargest excess of the default's loss over one tried: {worst:.2%} (limit {LIMIT:.1%})")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
