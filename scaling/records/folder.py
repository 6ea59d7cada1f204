"""The names of all files and folders that lie in the folder of a study, of a training job and of a run.

    runs/STUDY/            one study (`scaling sweep`): config, plan, table of records, fit
    runs/STUDY/JOB/        one training job (`scaling train` makes just this, as runs/NAME): checkpoints, progress, log
    runs/STUDY/JOB/RUN/    one run, that is one model at one token budget: its record and what the record vouches for

Every other module takes these names from here. Imports nothing.
"""

# --- in a study's folder -------------------------------------------------------------------------------

STUDY_CONFIG = "config.yaml"
"""The study's resolved config; `scaling sweep` writes it before the first job starts."""
STUDY_PLAN = "sweep.json"
"""The planned jobs and runs, with what decides their results (config, corpus, code); `scaling sweep` writes it before
the first job starts and again at the end."""
RECORDS_TABLE = "records.csv"
"""The records of all runs, a row each; `scaling sweep` writes it after the last job, as .parquet too with pyarrow."""

MULTIRUN = ".multirun"
"""The folder of what each job of a `scaling train -m` came to; whoever trains a job writes a file there at its end."""
TUNING = "tuning.db"
"""Optuna's trials, if `hydra/sweeper=tune`, in SQLite's format; the sweeper writes it after each trial."""

FIT = "fit"
"""The folder of figures, report and fitted laws; `scaling fit` writes it, and so does `scaling sweep` at its end."""
FITTED_STUDY = "study.json"
"""In the folder of a fit: every analysis of the study with its fitted law; `analysis.report.write` writes it."""
FITTED_LAW = "fit.json"
"""In the folder of a fit: one law, where `scaling fit` was asked for just that one."""
FIGURES = "figures"
"""In the folder of a fit: its figures, as PNG and SVG."""

# --- in a job's folder ---------------------------------------------------------------------------------

JOB_PLAN = "job.json"
"""The job's config with nothing left open; whoever plans the job writes it, and whoever trains the job reads it."""
CHECKPOINT = "last.ckpt"
"""The job's latest state; the trainer writes it now and then and when asked to end, and removes it at a segment's
end."""
TRUNK = "trunk.ckpt"
"""The state that the next branch starts from; the trainer writes it wherever a run branches off. In the folder of a run
that `scaling train` trained alone: the state before its decay, with which a run of more tokens begins, if
`trainer.save_model=true` and `schedule=wsd`."""
PROGRESS = "progress.json"
"""How far the job is, how fast and at what loss; the trainer replaces it about once a second."""
ERROR_LOG = "error.log"
"""The traceback of a job that failed; written at the failure, removed once the job succeeds."""
CSV_LOG = "log"
"""The folder of the training metrics, if `logger=csv`; written while the job trains."""
METRICS, HYPERPARAMETERS = "metrics.csv", "hparams.yaml"
"""In that folder: the metrics, a row for each time that the job logs, and the facts of the job's longest run."""
TENSORBOARD_LOG = "tensorboard"
"""The folder of the training metrics, if `logger=tensorboard`; written while the job trains."""
MLFLOW_LOG = "mlflow"
"""The folder of the training metrics, if `logger=mlflow` without a server; one for all jobs of a study, in the study's
folder."""
CLAIM_PREFIX, CLAIM_SUFFIX = "claim-", ".json"
"""`claim-0.json`: the process that trains the job, or that writes in a study's folder; it makes the file when it
starts, renews its time of modification, and removes it at the end."""

# --- in a run's folder ---------------------------------------------------------------------------------

RECORD = "record.json"
"""The run's plan, results and cost (`RunRecord`); written last, so that a record means that the run is whole."""
FAILED = "failed.json"
"""The record of a run that could not be trained, with the reason; removed when the run gets its `record.json`."""
CURVE = "curve.csv"
"""The training loss by step, in bins; written at the run's end."""
VALIDATION_LOSSES = "validation.npy"
"""The loss of each validation window; written at the run's end, unless it diverged."""
MODEL = "model.safetensors"
"""The trained model with its tokenizer; written at the run's end, if `trainer.save_model=true`."""
OLD_MODEL = "model.pt"
"""The same as versions before 0.2 wrote it, in PyTorch's format; it is still read."""

# --- beside any of them --------------------------------------------------------------------------------

PART = ".part"
"""Ending of a hidden file that is still being written; one that no process writes is what a killed one left."""
DAMAGED = ".damaged-"
"""What follows the name of a damaged file, with a number, once it was set aside."""
