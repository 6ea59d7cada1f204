"""The keys `logger.…`: where the training curve is logged."""

from dataclasses import dataclass

from scaling.config.checks import one_of


@dataclass(kw_only=True)
class LoggerConfig:
    """Where the training curve is logged while the run goes on."""

    kind: str = "csv"
    """csv, tensorboard, wandb, mlflow or none; tensorboard, wandb and mlflow are extras to install."""
    project: str = "scaling"
    """Project or experiment name, for loggers that have one."""
    uri: str | None = None
    """URI of MLflow's tracking server; null: files in the folder `mlflow` of the study, or of a job outside a study."""
    offline: bool = True
    """Whether W&B keeps the log on this machine instead of uploading it."""

    def __post_init__(self) -> None:
        one_of("logger.kind", self.kind, ("csv", "tensorboard", "wandb", "mlflow", "none"))
