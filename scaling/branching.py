"""The callback that walks a job's segments: it keeps the trunk where a branch leaves it, evaluates and records each
run at its end, and goes back to the trunk. What a run costs is measured here, off the per-step path."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from scaling.accounting.flops import train_flops_per_token
from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.params import count_params
from scaling.accounting.recipe import TrainingRecipe
from scaling.job import Job, code_version
from scaling.meters import LiveBytes, device_name, matmul_peak
from scaling.module import JobBatches, Pretraining
from scaling.records import VALIDATION_LOSSES, RunRecord, write_atomically, write_record
from scaling.trunk import Segment

CHECKPOINT = "last.ckpt"
TRUNK = "trunk.pt"
MODEL = "model.pt"
CURVE = "curve.csv"
MEMORY_STEPS = 2  # the optimizer's state exists from the second step on: the peak is seen by then


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a job stands; what a display needs."""

    step: int
    steps: int
    tokens_per_second: float
    loss: float
    seconds_left: float
    runs_done: int
    runs: int


def predicted_memory(job: Job, device: str) -> int:
    """Peak bytes of a step by the closed form of `scaling.accounting.memory`."""
    recipe = TrainingRecipe(
        optimizer=job.config.optim.kind,  # type: ignore[arg-type]
        precision=job.config.trainer.precision,  # type: ignore[arg-type]
        runtime="torch_cpu" if device == "cpu" else "torch",
    )
    micro = job.recipe.micro_batch_sequences
    devices = job.config.trainer.devices
    accumulation = -(-job.recipe.batch_sequences // (micro * devices))
    layout = Layout(data=devices, micro_batch=micro, accumulation=accumulation)
    return round(training_memory(job.shape, recipe, layout).peak_allocated_bytes)


class Branching(L.Callback):
    """Walks a job's segments: keeps the trunk where a branch leaves it, records each run, goes back to the trunk."""

    def __init__(self, job: Job, batches: JobBatches, report: Callable[[Progress], None] | None) -> None:
        self.job, self.batches, self.report = job, batches, report
        self.seconds: list[float] = []  # training time of each segment so far
        self.measured_bytes: int | None = None
        self._memory: LiveBytes | None = None
        self._started = self._flushed = self._saved = 0.0
        self._paused = 0.0  # time since the last look spent on evaluation and writing

    # The state that a checkpoint of Lightning's carries for a callback.
    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": list(self.seconds),
            "measured_bytes": self.measured_bytes,
            "fingerprint": self.job.fingerprint,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["fingerprint"] != self.job.fingerprint:
            raise ValueError(
                f"{self.job.folder / CHECKPOINT}: belongs to another config; choose another name= or delete that folder"
            )
        self.seconds = list(state_dict["seconds"])
        self.measured_bytes = state_dict["measured_bytes"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Pretraining)
        self.batches.rank, self.batches.world_size = trainer.global_rank, trainer.world_size
        if not self.seconds:
            self.seconds = [0.0] * len(module.plan)
        self.first_position = module.position
        self._started = self._flushed = self._saved = time.monotonic()
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        segment, step = module.at(module.position)
        if segment.run is not None and step == segment.start:
            self._keep_trunk(trainer, module)

    def on_train_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Pretraining)
        begun = module.position - self.first_position
        if begun == 0 and self.measured_bytes is None and trainer.strategy.root_device.type == "cpu":
            known = [*module.parameters(), *module.buffers(), batch[1]]
            self._memory = LiveBytes(known)
            self._memory.__enter__()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Pretraining)
        if self._memory is not None and module.position - self.first_position >= MEMORY_STEPS:
            self._leave_memory_meter()
        segment, step = module.at(module.position - 1)
        now = time.monotonic()
        ended = step + 1 == segment.stop
        if ended or now - self._flushed >= self.job.config.trainer.log_every_seconds:
            self._look(trainer, module, segment)
            if trainer.should_stop:
                return
        if ended:
            self._end_segment(trainer, module, segment)
        elif (
            self.job.config.trainer.checkpoint_every_seconds is not None
            and now - self._saved >= self.job.config.trainer.checkpoint_every_seconds
        ):
            self._checkpoint(trainer)

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._leave_memory_meter()

    def _leave_memory_meter(self) -> None:
        if self._memory is not None:
            self._memory.__exit__(None, None, None)
            self.measured_bytes = self._memory.peak
            self._memory = None

    def _look(self, trainer: L.Trainer, module: Pretraining, segment: Segment) -> None:
        """Fetch losses, log, report, and check for divergence; about once a second."""
        module.flush_losses()
        now = time.monotonic()
        self.seconds[module.plan.index(segment)] += now - self._flushed
        self._flushed = now
        spent = sum(self.seconds)
        rate = module.position * module.recipe.batch_tokens / spent if spent else 0.0
        loss = float(np.nanmean(module.losses[max(0, module.position - 20) : module.position]))
        _, step = module.at(module.position - 1)
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {
                    "train_loss_nats": loss,
                    "lr": module.recipe.lr * module.recipe.lr_fraction(segment, step),
                    "tokens": (step + 1) * module.recipe.batch_tokens,
                    "tokens_per_second": rate,
                    "run": -1 if segment.run is None else segment.run,
                },
                step=module.position,
            )
        reason = module.diverged()
        if reason is not None and segment.run is None:
            # Every run still to come grows on this trunk.
            for run, record in enumerate(self.job.recorded()):
                if record is None:
                    self._record(trainer, module, run, reason)
            trainer.should_stop = True
        if self.report is not None and trainer.is_global_zero:
            left = (module.total_steps - module.position) * module.recipe.batch_tokens
            self.report(
                Progress(
                    step=module.position,
                    steps=module.total_steps,
                    tokens_per_second=rate,
                    loss=loss,
                    seconds_left=left / rate if rate else float("nan"),
                    runs_done=sum(s.run is not None and s.stop <= step + 1 for s in module.plan),
                    runs=len(module.recipe.run_steps),
                )
            )

    def _end_segment(self, trainer: L.Trainer, module: Pretraining, segment: Segment) -> None:
        if segment.run is None:
            self._keep_trunk(trainer, module)
        else:
            self._record(trainer, module, segment.run, module.diverged())
            if module.position < module.total_steps:
                following = module.plan[module.plan.index(segment) + 1]
                self._return_to_trunk(trainer, module)
                if following.run is not None:  # two runs that leave the trunk at the same step
                    self._keep_trunk(trainer, module)
        self._checkpoint(trainer)
        self._flushed = time.monotonic()

    def _keep_trunk(self, trainer: L.Trainer, module: Pretraining) -> None:
        if not trainer.is_global_zero:
            return
        buffer = BytesIO()
        torch.save(
            {"model": module.model.state_dict(), "optimizer": trainer.optimizers[0].state_dict()}, buffer
        )
        write_atomically(self.job.folder / TRUNK, buffer.getvalue())

    def _return_to_trunk(self, trainer: L.Trainer, module: Pretraining) -> None:
        trainer.strategy.barrier()
        state = torch.load(self.job.folder / TRUNK, map_location=module.device, weights_only=True)
        module.model.load_state_dict(state["model"])
        trainer.optimizers[0].load_state_dict(state["optimizer"])

    def _checkpoint(self, trainer: L.Trainer) -> None:
        target = self.job.folder / CHECKPOINT
        temporary = target.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            os.replace(temporary, target)
        self._saved = time.monotonic()

    def _record(self, trainer: L.Trainer, module: Pretraining, run: int, reason: str | None) -> None:
        """Evaluate a run at its end and write its record; the loss of a diverged run is left out."""
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
        spent_steps = sum(s.stop - s.start for s in spent_segments)
        steps = own.stop
        tokens = steps * recipe.batch_tokens

        losses = None
        if reason is None:
            losses = module.validation_losses(job.corpus, job.config.trainer.validation_batch_tokens)
            if not np.isfinite(losses).all():
                reason, losses = "validation loss was not finite", None
        if not trainer.is_global_zero:
            return
        device = trainer.strategy.root_device
        params = count_params(job.shape)
        exact = tokens * train_flops_per_token(job.shape, "exact")
        rate = tokens / alone if alone and reason is None else None
        corpus_tokens = job.corpus.train_tokens
        loss = None if losses is None else float(losses.mean())
        record = RunRecord(
            run_id=folder.name,
            trunk_id=job.config.name,
            status="done" if reason is None else "diverged",
            reason=reason,
            identity=job.identities[run],
            code_version=code_version(),
            seed=job.config.seed,
            budget_flops=job.config.runs[run].budget_flops,
            budget_convention=getattr(getattr(job.config, "design", None), "convention", None),
            width=job.shape.width,
            depth=job.shape.depth,
            heads=job.shape.heads,
            kv_heads=job.shape.kv_heads,
            head_width=job.shape.head_width,
            ffn_width=job.shape.ffn_width,
            ffn=job.shape.ffn,
            vocab_size=job.shape.vocab_size,
            context=job.shape.context,
            tied_head=job.shape.tied_head,
            qk_norm=job.shape.qk_norm,
            params_total=params.total,
            params_non_embedding=params.non_embedding,
            params_embedding=params.embedding,
            params_attention=params.attention,
            params_ffn=params.ffn,
            params_norms=params.norms,
            params_head=params.head,
            corpus=job.corpus.name,
            corpus_fingerprint=job.corpus.fingerprint,
            tokenizer=type(job.config.tokenizer).__name__.removesuffix("Tokenizer").lower(),
            tokens=tokens,
            tokens_spent=spent_steps * recipe.batch_tokens,
            unique_tokens=tokens if corpus_tokens is None else min(tokens, corpus_tokens),
            epochs=1.0 if corpus_tokens is None else tokens / corpus_tokens,
            batch_tokens=recipe.batch_tokens,
            steps=steps,
            optimizer=job.config.optim.kind,
            schedule=job.config.schedule.kind,
            lr=recipe.lr,
            warmup_tokens=recipe.warmup_tokens,
            precision=job.config.trainer.precision,
            train_flops_6nd=6.0 * params.total * tokens,
            train_flops_exact=float(exact),
            loss_nats=loss,
            loss_se_nats=None if losses is None else float(losses.std(ddof=1) / np.sqrt(len(losses))),
            bits_per_byte=None if loss is None else loss / np.log(2) / job.corpus.bytes_per_token,
            entropy_nats=job.corpus.entropy_nats_per_token,
            validation_tokens=0 if losses is None else len(losses) * recipe.context,
            wall_seconds=alone,
            seconds_spent=sum(self.seconds[since_last_run : segment_index + 1]),
            tokens_per_second=rate,
            achieved_flops_per_second=None if rate is None else exact / tokens * rate,
            matmul_peak_flops_per_second=matmul_peak(
                str(device), job.config.trainer.precision, torch.get_num_threads()
            ),
            peak_memory_bytes_predicted=predicted_memory(job, device.type),
            peak_memory_bytes_measured=(
                torch.cuda.max_memory_allocated() if device.type == "cuda" else self.measured_bytes
            ),
            peak_memory_bytes_reserved=torch.cuda.max_memory_reserved() if device.type == "cuda" else None,
            device=device_name(device),
            devices=trainer.world_size,
            threads=torch.get_num_threads(),
            versions=f"python {platform.python_version()}, torch {torch.__version__}, lightning {L.__version__}",
        )
        self._write_curve(module, folder, own)
        if losses is not None:
            buffer = BytesIO()
            np.save(buffer, losses.astype(np.float32))
            write_atomically(folder / VALIDATION_LOSSES, buffer.getvalue())
            if job.config.trainer.save_model:
                buffer = BytesIO()
                torch.save({"shape": asdict(job.shape), "model": module.model.state_dict()}, buffer)
                write_atomically(folder / MODEL, buffer.getvalue())
        write_record(record, folder)  # last: a record means that all else is there

    def _write_curve(self, module: Pretraining, folder: Path, own: Segment) -> None:
        """The run's training curve as if trained alone: the trunk up to its leave, then its branch, in even bins."""
        alone = np.full(own.stop, np.nan)
        position = 0
        for segment in module.plan:
            length = segment.stop - segment.start
            if (segment.run is None and segment.stop <= own.start) or segment == own:
                alone[segment.start : segment.stop] = module.losses[position : position + length]
            position += length
        recipe = module.recipe
        points = min(self.job.config.trainer.curve_points, own.stop)
        rows = ["step,tokens,lr,train_loss_nats"]
        for bin_steps in np.array_split(np.arange(own.stop), points):
            last = int(bin_steps[-1])
            tokens, lr = (last + 1) * recipe.batch_tokens, recipe.lr * recipe.lr_fraction(own, last)
            rows.append(f"{last + 1},{tokens},{lr:.6g},{alone[bin_steps].mean():.6f}")
        write_atomically(folder / CURVE, "\n".join([*rows, ""]).encode())
