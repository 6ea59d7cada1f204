"""The callback that trains a trunk and its branches in one job, and writes each run's record.

It acts between groups of steps, at three kinds of place. Every second or so it logs and checks for divergence. At the
end of a trunk segment it writes `trunk.ckpt`. At the end of a branch it evaluates the run, writes the record, and goes
back to the trunk. It also measures the time and the memory that each run takes.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import lightning as L
import numpy as np
import torch

from scaling.model.saved import to_bytes
from scaling.records.files import seal_label, write_atomically
from scaling.records.folder import CHECKPOINT, CURVE, MODEL, TRUNK, VALIDATION_LOSSES
from scaling.records.records import write_record
from scaling.training import checkpoint
from scaling.training.cadence import Cadence
from scaling.training.fsdp import model_states
from scaling.training.job import Job
from scaling.training.loggers import MetricsCSV, log_outcome, log_plan
from scaling.training.meters import LiveBytes
from scaling.training.module import Pretraining
from scaling.training.optim import state_tensors
from scaling.training.progress import Progress
from scaling.training.recording import curve_csv, run_record
from scaling.training.segments import Segment, end_position, segment_at, segments_before
from scaling.training.signals import HeldSignals, Preempted
from scaling.training.step_groups import METERED_STEPS


class Branching(L.Callback):
    """Takes a job from segment to segment, and writes a checkpoint or a record at the end of each."""

    def __init__(
        self,
        job: Job,
        report: Callable[[Progress], None] | None,
        retried: str | None,
        check: Callable[[], None] | None,
        signals: HeldSignals,
    ) -> None:
        """Follow a job.

        Args:
            job: what is trained.
            report: receives the progress, each time that the job logs.
            retried: for the records, why an earlier attempt failed and what was changed since.
            check: called before anything is written; raises when another process has taken the job over.
            signals: tells whether a signal asked the job to end.
        """
        self.job, self.report, self.retried = job, report, retried
        self.signals = signals
        self.check = check or (lambda: None)
        self.seconds: list[float] = []  # training time of each segment
        self.measured_bytes: int | None = None  # peak memory
        self.measured_sequences = 0  # the largest batch for which it was measured
        self._memory_until = 0
        self._memory: LiveBytes | None = None
        self._cadence: Cadence

    # Lightning stores this in its checkpoints.
    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": list(self.seconds),
            "measured_bytes": self.measured_bytes,
            "measured_sequences": self.measured_sequences,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = list(state_dict["seconds"])
        self.measured_bytes = state_dict["measured_bytes"]
        self.measured_sequences = state_dict["measured_sequences"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Pretraining)
        self.signals.hold()  # Lightning has installed handlers of its own meanwhile
        if not self.seconds:
            self.seconds = [0.0] * len(module.segments)
        if isinstance(trainer.logger, MetricsCSV):
            # A row holds the number of steps taken, which is one more than the position of the last of them.
            trainer.logger.forget(
                lambda taken: (
                    module.position < taken <= module.total_steps and bool(module.to_train[taken - 1])
                )
            )
        log_plan(trainer.logger, self.job)
        config = self.job.config.trainer
        self._cadence = Cadence(
            trainer,
            module.position,
            config.log_every_seconds,
            config.checkpoint_every_seconds,
            asked_to_end=lambda: self.signals.asked is not None,
        )
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        segment, step = segment_at(module.segments, module.position)
        if segment.run is not None and step == segment.start and not (self.job.folder / TRUNK).is_file():
            checkpoint.save(trainer, self.job, module, TRUNK)  # a branch from the first step on

    def on_train_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Pretraining)
        # The first steps with a batch larger than any before are measured.
        sequences = module.recipe.batches.sequences(segment_at(module.segments, module.position)[1])
        if (
            self._memory is None
            and sequences > self.measured_sequences
            and trainer.strategy.root_device.type == "cpu"
        ):
            states = state_tensors(trainer.optimizers[0])
            self._memory = LiveBytes([*module.parameters(), *module.buffers(), *states])
            self._memory.__enter__()
            self._memory_until = module.position + METERED_STEPS
            self.measured_sequences = sequences

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Pretraining)
        if self._memory is not None and module.position >= self._memory_until:
            self._leave_memory_meter()
        segment, step = segment_at(module.segments, module.position - 1)
        ended = step + 1 == segment.stop
        log = ended or self._cadence.log_due(module.position)
        if log:
            self._log(trainer, module, segment)
            if trainer.should_stop:
                return
        asked_to_end = self._cadence.end_due(log)
        if ended:
            self._end_segment(trainer, module, segment)
        elif self._cadence.checkpoint_due(log) or asked_to_end:
            self.check()
            if asked_to_end:
                self._leave_memory_meter()
            checkpoint.save(trainer, self.job, module, CHECKPOINT)
            self._cadence.checkpoint_written()
        if asked_to_end and module.position < module.total_steps:
            raise Preempted

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._leave_memory_meter()

    def _leave_memory_meter(self) -> None:
        if self._memory is not None:
            self._memory.__exit__(None, None, None)
            self.measured_bytes = max(self.measured_bytes or 0, self._memory.peak)
            self._memory = None

    def _log(self, trainer: L.Trainer, module: Pretraining, segment: Segment) -> None:
        """Fetch the losses, log them, report the progress, and check for divergence."""
        module.flush_losses()
        self.seconds[module.segments.index(segment)] += self._cadence.logged(module.position)
        spent = sum(self.seconds)
        trained = module.recipe.tokens_in(segments_before(module.segments, module.position))
        rate = trained / spent if spent else 0.0
        loss = float(module.losses_to(module.position)[-20:].mean())
        _, step = segment_at(module.segments, module.position - 1)
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {
                    "train_loss_nats": loss,
                    "lr": module.recipe.lr * module.recipe.lr_fraction(segment, step),
                    "tokens": module.recipe.batches.tokens_before(step + 1),
                    "tokens_per_second": rate,
                    "run": -1 if segment.run is None else segment.run,
                },
                step=module.position,
            )
        reason = module.diverged(module.position)
        if reason is not None and segment.run is None:
            # Every run without a record would branch off this trunk.
            for run, record in enumerate(self.job.recorded() if trainer.is_global_zero else []):
                if record is None:
                    self._record(trainer, module, run, reason)
            trainer.should_stop = True
        if self.report is not None and trainer.is_global_zero:
            left = module.recipe.tokens_in(module.segments) - trained
            self.report(
                Progress(
                    step=module.position,
                    steps=module.total_steps,
                    tokens_per_second=rate,
                    loss=loss,
                    seconds_left=left / rate if rate else float("nan"),
                    runs_done=sum(
                        s.run is not None and end_position(module.segments, s) <= module.position
                        for s in module.segments
                    ),
                    runs=len(module.recipe.run_steps),
                )
            )

    def _end_segment(self, trainer: L.Trainer, module: Pretraining, segment: Segment) -> None:
        """Write the trunk's checkpoint or the run's record, and go to the next segment to be trained."""
        self.check()
        following = module.next_to_train(module.position)
        if segment.run is None:
            checkpoint.save(trainer, self.job, module, TRUNK)
        else:
            self._record(trainer, module, segment.run, module.diverged(module.position))
            if following < module.total_steps:
                self._return_to_trunk(trainer)
        module.position = following
        if trainer.is_global_zero:  # the trunk's checkpoint and the records now hold all that it did
            (self.job.folder / CHECKPOINT).unlink(missing_ok=True)
        self._cadence.restart(module.position)

    def _return_to_trunk(self, trainer: L.Trainer) -> None:
        trainer.strategy.barrier()
        seal_label(self.job.folder / TRUNK)  # the disk may have damaged it since it was written
        state = trainer.strategy.load_checkpoint(self.job.folder / TRUNK, weights_only=True)
        trainer.strategy.load_model_state_dict(state)
        trainer.strategy.load_optimizer_state_dict(state)

    def _record(self, trainer: L.Trainer, module: Pretraining, run: int, reason: str | None) -> None:
        """Evaluate a run at its end, and write its files and its record.

        All ranks call it for a run that has not diverged, since they evaluate it together. The first one writes.

        Args:
            trainer: tells rank and device.
            module: the model at the end of the run.
            run: index of the run.
            reason: why the run has diverged; None where it has not. A diverged run has no loss in its record.
        """
        job, config = self.job, self.job.config.trainer
        losses = weights = None
        if reason is None:
            losses = module.validation_losses(job.corpus, config.validation_batch_tokens)
            if not np.isfinite(losses).all():
                reason, losses = "validation loss was not finite", None
        if losses is not None and config.save_model:
            weights = model_states(module.model, keep=trainer.is_global_zero)
        if not trainer.is_global_zero:
            return
        record = run_record(
            job, module, run, reason=reason, validation_losses=losses, segment_seconds=self.seconds,
            measured_bytes=self.measured_bytes, retried=self.retried,
        )  # fmt: skip
        files = {CURVE: curve_csv(module, run, config.curve_points)}
        if losses is not None:
            buffer = BytesIO()
            np.save(buffer, losses.astype(np.float32))
            files[VALIDATION_LOSSES] = buffer.getvalue()
        if weights is not None:
            files[MODEL] = to_bytes(module.model, weights, job.corpus.tokenizer)
        folder = job.run_folders[run]
        for name, content in files.items():
            write_atomically(folder / name, content)
        self.check()
        write_record(record, folder, list(files))  # last: a record tells that the files are there
        log_outcome(trainer.logger, record, run, module.position)
