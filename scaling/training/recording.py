"""What is recorded of a run at its end: its costs, its validation loss, and its training curve."""

import platform

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from scaling.records.records import RunOutcome, RunRecord
from scaling.training.job import Job
from scaling.training.meters import device_name, matmul_peak
from scaling.training.module import Pretraining
from scaling.training.planned import planned_facts, predicted_memory
from scaling.training.segments import end_position, segments_of_run, segments_spent_on_run


def run_record(
    job: Job,
    module: Pretraining,
    run: int,
    *,
    reason: str | None,
    validation_losses: npt.NDArray[np.float64] | None,
    segment_seconds: list[float],
    measured_bytes: int | None,
    retried: str | None,
) -> RunRecord:
    """The record of a run: what was planned, its validation loss, and what was measured.

    Args:
        job: what was trained.
        module: the model at the end of the run.
        run: index of the run.
        reason: why the run has diverged; None where it has not.
        validation_losses: loss of each validation window, nats a token; None for a diverged run.
        segment_seconds: training time of each segment of the job.
        measured_bytes: peak memory of live tensors on a processor.
        retried: why an earlier attempt failed and what was changed since; None without one.
    """
    trainer, plan = module.trainer, module.segments
    facts = planned_facts(job, run)
    tokens = job.tokens[run]
    spent = segments_spent_on_run(plan, run)
    # The time that the run would take alone: on the trunk up to its branch, and on the branch.
    seconds = sum(segment_seconds[i] for i in segments_of_run(plan, run))
    rate = tokens / seconds if seconds and reason is None else None
    losses = validation_losses
    loss = None if losses is None else float(losses.mean())
    device = trainer.strategy.root_device
    on_gpu = device.type == "cuda"
    device_peak = matmul_peak(str(device), job.config.trainer.precision, torch.get_num_threads())
    outcome = RunOutcome(
        status="done" if reason is None else "diverged",
        reason=reason,
        tokens_spent=module.recipe.tokens_in([plan[i] for i in spent]),
        loss_nats=loss,
        loss_se_nats=None if losses is None else float(losses.std(ddof=1) / np.sqrt(len(losses))),
        bits_per_byte=None if loss is None else loss / np.log(2) / job.corpus.bytes_per_token,
        validation_tokens=0 if losses is None else len(losses) * module.recipe.context,
        wall_seconds=seconds,
        seconds_spent=sum(segment_seconds[i] for i in spent),
        tokens_per_second=rate,
        achieved_flops_per_second=None if rate is None else facts.train_flops_exact / tokens * rate,
        matmul_peak_flops_per_second=trainer.world_size * device_peak,
        peak_memory_bytes_predicted=predicted_memory(job, run, device.type),
        peak_memory_bytes_measured=torch.cuda.max_memory_allocated() if on_gpu else measured_bytes,
        peak_memory_bytes_reserved=torch.cuda.max_memory_reserved() if on_gpu else None,
        device=device_name(device),
        devices=trainer.world_size,
        threads=torch.get_num_threads(),
        retried=retried,
        versions=f"python {platform.python_version()}, torch {torch.__version__}, lightning {L.__version__}",
    )
    return RunRecord.of(facts, outcome)


def curve_csv(module: Pretraining, run: int, bins: int) -> bytes:
    """The training losses of a run as if it were trained alone, as CSV: means over at most `bins` bins of steps."""
    branch = module.segments[segments_of_run(module.segments, run)[-1]]
    losses, recipe = module.losses_to(end_position(module.segments, branch)), module.recipe
    rows = ["step,tokens,lr,train_loss_nats"]
    for steps in np.array_split(np.arange(branch.stop), min(bins, branch.stop)):
        last = int(steps[-1])
        tokens, lr = recipe.batches.tokens_before(last + 1), recipe.lr * recipe.lr_fraction(branch, last)
        rows.append(f"{last + 1},{tokens},{lr:.6g},{losses[steps].mean():.6f}")
    return "\n".join([*rows, ""]).encode()
