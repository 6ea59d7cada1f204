"""The callback that walks a job's segments: it keeps the trunk where a branch leaves it, evaluates and records each
run at its end, and goes back to the trunk. What a run costs is measured here, off the per-step path."""

import platform
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from scaling.model.saved import to_bytes
from scaling.records.files import seal_label, write_atomically
from scaling.records.folder import CHECKPOINT, CURVE, MODEL, TRUNK, VALIDATION_LOSSES
from scaling.records.records import RunOutcome, RunRecord, write_record
from scaling.training import checkpoint
from scaling.training.cadence import Looks
from scaling.training.fsdp import model_states
from scaling.training.job import Job
from scaling.training.meters import LiveBytes, device_name, matmul_peak
from scaling.training.module import METERED_STEPS, Pretraining
from scaling.training.optim import state_tensors
from scaling.training.planned import planned_facts, predicted_memory
from scaling.training.progress import Progress
from scaling.training.segments import Segment
from scaling.training.signals import HeldSignals, Preempted


class Branching(L.Callback):
    """Walks a job's segments: keeps the trunk where a branch leaves it, records each run, goes back to the trunk."""

    def __init__(
        self,
        job: Job,
        report: Callable[[Progress], None] | None,
        retried: str | None,
        check: Callable[[], None] | None,
        signals: HeldSignals,
    ) -> None:
        """`check`: called before anything is kept; raises when the job is another process's by now.

        `signals`: tells whether the job was asked to end.
        """
        self.job, self.report, self.retried = job, report, retried
        self.signals = signals
        self.check = check or (lambda: None)
        self.seconds: list[float] = []  # training time of each segment so far
        self.measured_bytes: int | None = None
        self.measured_sequences = 0  # the largest batch whose memory was measured
        self._memory_until = 0
        self._memory: LiveBytes | None = None
        self._looks: Looks

    # The state that a checkpoint of Lightning's carries for a callback.
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
        self.signals.hold()  # in the place of Lightning's handlers, which came in between
        if not self.seconds:
            self.seconds = [0.0] * len(module.plan)
        config = self.job.config.trainer
        self._looks = Looks(
            trainer,
            module.position,
            config.log_every_seconds,
            config.checkpoint_every_seconds,
            asked_to_end=lambda: self.signals.asked is not None,
        )
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        segment, step = module.at(module.position)
        if segment.run is not None and step == segment.start and not (self.job.folder / TRUNK).is_file():
            checkpoint.save(trainer, self.job, module, TRUNK)  # a branch from the very start

    def on_train_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Pretraining)
        # The first steps with a batch larger than any before are measured.
        sequences = module.recipe.batches.sequences(module.at(module.position)[1])
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
        segment, step = module.at(module.position - 1)
        ended = step + 1 == segment.stop
        looked = ended or self._looks.due(module.position)
        if looked:
            self._look(trainer, module, segment)
            if trainer.should_stop:
                return
        asked_to_end = self._looks.end_due(looked)
        if ended:
            self._end_segment(trainer, module, segment)
        elif self._looks.save_due(looked) or asked_to_end:
            self.check()
            if asked_to_end:
                self._leave_memory_meter()
            checkpoint.save(trainer, self.job, module, CHECKPOINT)
            self._looks.saved = time.monotonic()
        if asked_to_end and module.position < module.total_steps:
            raise Preempted

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._leave_memory_meter()

    def _leave_memory_meter(self) -> None:
        if self._memory is not None:
            self._memory.__exit__(None, None, None)
            self.measured_bytes = max(self.measured_bytes or 0, self._memory.peak)
            self._memory = None

    def _look(self, trainer: L.Trainer, module: Pretraining, segment: Segment) -> None:
        """Fetch losses, log, report, and check for divergence; about once a second."""
        module.flush_losses()
        self.seconds[module.plan.index(segment)] += self._looks.looked(module.position)
        spent = sum(self.seconds)
        trained = module.tokens_trained(module.position)
        rate = trained / spent if spent else 0.0
        loss = float(module.losses_to(module.position)[-20:].mean())
        _, step = module.at(module.position - 1)
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
            # Every run still to come grows on this trunk.
            for run, record in enumerate(self.job.recorded() if trainer.is_global_zero else []):
                if record is None:
                    self._record(trainer, module, run, reason)
            trainer.should_stop = True
        if self.report is not None and trainer.is_global_zero:
            left = module.tokens_trained(module.total_steps) - trained
            self.report(
                Progress(
                    step=module.position,
                    steps=module.total_steps,
                    tokens_per_second=rate,
                    loss=loss,
                    seconds_left=left / rate if rate else float("nan"),
                    runs_done=sum(
                        s.run is not None and module.end_of(s) <= module.position for s in module.plan
                    ),
                    runs=len(module.recipe.run_steps),
                )
            )

    def _end_segment(self, trainer: L.Trainer, module: Pretraining, segment: Segment) -> None:
        """Keep what the segment came to, and stand where the next one to be trained begins."""
        self.check()
        following = module.next_to_train(module.position)
        if segment.run is None:
            checkpoint.save(trainer, self.job, module, TRUNK)
        else:
            self._record(trainer, module, segment.run, module.diverged(module.position))
            if following < module.total_steps:
                self._return_to_trunk(trainer)
        module.position = following
        if trainer.is_global_zero:  # the trunk and the records say all that it did
            (self.job.folder / CHECKPOINT).unlink(missing_ok=True)
        self._looks.rest(module.position)

    def _return_to_trunk(self, trainer: L.Trainer) -> None:
        trainer.strategy.barrier()
        seal_label(self.job.folder / TRUNK)  # it may have lain on the disk for days
        state = trainer.strategy.load_checkpoint(self.job.folder / TRUNK, weights_only=True)
        trainer.strategy.load_model_state_dict(state)
        trainer.strategy.load_optimizer_state_dict(state)

    def _record(self, trainer: L.Trainer, module: Pretraining, run: int, reason: str | None) -> None:
        """Evaluate a run at its end and write its record; the loss of a diverged run is left out.

        All ranks call it when there is a loss to find; the first one writes.
        """
        job, recipe = self.job, module.recipe
        folder = job.run_folders[run]
        segment_index = next(i for i, s in enumerate(module.plan) if s.run == run)
        own = module.plan[segment_index]
        trunk = [i for i, s in enumerate(module.plan[:segment_index]) if s.run is None]
        # What the run would have taken alone: all of the trunk before it, and its own branch.
        alone = sum(self.seconds[i] for i in trunk) + self.seconds[segment_index]
        since_last_run = max(
            (i + 1 for i, s in enumerate(module.plan[:segment_index]) if s.run is not None), default=0
        )
        spent_segments = module.plan[since_last_run : segment_index + 1]
        tokens = job.tokens[run]

        losses = None
        if reason is None:
            losses = module.validation_losses(job.corpus, job.config.trainer.validation_batch_tokens)
            if not np.isfinite(losses).all():
                reason, losses = "validation loss was not finite", None
        weights = None
        if losses is not None and job.config.trainer.save_model:
            weights = model_states(module.model, keep=trainer.is_global_zero)
        if not trainer.is_global_zero:
            return
        device = trainer.strategy.root_device
        facts = planned_facts(job, run)
        rate = tokens / alone if alone and reason is None else None
        loss = None if losses is None else float(losses.mean())
        outcome = RunOutcome(
            status="done" if reason is None else "diverged",
            reason=reason,
            tokens_spent=recipe.tokens_in(spent_segments),
            loss_nats=loss,
            loss_se_nats=None if losses is None else float(losses.std(ddof=1) / np.sqrt(len(losses))),
            bits_per_byte=None if loss is None else loss / np.log(2) / job.corpus.bytes_per_token,
            validation_tokens=0 if losses is None else len(losses) * recipe.context,
            wall_seconds=alone,
            seconds_spent=sum(self.seconds[since_last_run : segment_index + 1]),
            tokens_per_second=rate,
            achieved_flops_per_second=None if rate is None else facts.train_flops_exact / tokens * rate,
            matmul_peak_flops_per_second=trainer.world_size
            * matmul_peak(str(device), job.config.trainer.precision, torch.get_num_threads()),
            peak_memory_bytes_predicted=predicted_memory(job, run, device.type),
            peak_memory_bytes_measured=(
                torch.cuda.max_memory_allocated() if device.type == "cuda" else self.measured_bytes
            ),
            peak_memory_bytes_reserved=torch.cuda.max_memory_reserved() if device.type == "cuda" else None,
            device=device_name(device),
            devices=trainer.world_size,
            threads=torch.get_num_threads(),
            retried=self.retried,
            versions=f"python {platform.python_version()}, torch {torch.__version__}, lightning {L.__version__}",
        )
        self._write_curve(module, folder, own)
        files = [CURVE]
        if losses is not None:
            buffer = BytesIO()
            np.save(buffer, losses.astype(np.float32))
            write_atomically(folder / VALIDATION_LOSSES, buffer.getvalue())
            files.append(VALIDATION_LOSSES)
            if weights is not None:
                write_atomically(folder / MODEL, to_bytes(module.model, weights, job.corpus.tokenizer))
                files.append(MODEL)
        self.check()
        # Written last: a record means that all else is there.
        write_record(RunRecord.of(facts, outcome), folder, files)

    def _write_curve(self, module: Pretraining, folder: Path, own: Segment) -> None:
        """The run's training curve as if trained alone: the trunk up to its leave, then its branch, in even bins."""
        alone = module.losses_to(module.end_of(own))
        recipe = module.recipe
        points = min(self.job.config.trainer.curve_points, own.stop)
        rows = ["step,tokens,lr,train_loss_nats"]
        for bin_steps in np.array_split(np.arange(own.stop), points):
            last = int(bin_steps[-1])
            tokens, lr = recipe.batches.tokens_before(last + 1), recipe.lr * recipe.lr_fraction(own, last)
            rows.append(f"{last + 1},{tokens},{lr:.6g},{alone[bin_steps].mean():.6f}")
        write_atomically(folder / CURVE, "\n".join([*rows, ""]).encode())
