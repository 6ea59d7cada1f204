"""The LightningModule that trains a decoder: optimizer steps, training losses and validation losses."""

import inspect
import math
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from scaling.corpus import TokenCorpus
from scaling.corpus.order import window_order
from scaling.model.cpu_backward import loss_and_backward
from scaling.model.cpu_support import trains_with_cpu_kernels
from scaling.model.decoder import Decoder, next_token_loss
from scaling.training.fsdp import FullyShardedStrategy
from scaling.training.optim import build_optimizer, clip_gradients
from scaling.training.recipe import Recipe
from scaling.training.segments import segment_at, steps_trained


class Pretraining(L.LightningModule):
    """Next-token training of a decoder through the steps of a job.

    `position` counts the optimizer steps of the job (`scaling/training/segments.py`). It is all that the order of the
    data needs to go on from a checkpoint, since batch i of a run is a pure function of (seed, i). Optimisation is
    manual in Lightning's sense: that takes a third of the time of its automatic loop, and gradient accumulation and
    clipping stand here in the code.
    """

    def __init__(
        self, model: Decoder, recipe: Recipe, corpus: TokenCorpus, precision: str, compile: bool = False
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.recipe, self.precision, self.tokens = recipe, precision, corpus.train
        self.segments = recipe.segments
        self.total_steps = steps_trained(self.segments)
        self.position = 0
        # By position, whether the step is still to be trained.
        self.to_train = np.ones(self.total_steps, dtype=bool)
        self._forward: Any = torch.compile(model) if compile else model
        # By position, the mean training loss of the step in nats a token; NaN where it is not known yet.
        self.losses = np.full(self.total_steps, np.nan)
        # Losses that are still on the device, with their positions: fetching them one by one would slow each step.
        self._unfetched: list[tuple[int, Tensor]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets the first of these names thirty times a step, and nn.Module searches each value for parameters.
        if name in ("_current_fx_name", "position"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # two integers; the tensors are gathered by `batches`

    def losses_to(self, position: int) -> np.ndarray:
        """Training losses of one run, as if it were trained alone: on the trunk up to its branch, then on its branch.

        The run is the one trained just before `position`, and ends there. Returns float64 of shape (steps of the run,).
        """
        own, _ = segment_at(self.segments, position - 1)
        start, pieces = 0, []
        for segment in self.segments[: self.segments.index(own) + 1]:
            stop = min(position, start + segment.steps)
            if segment.run is None or segment == own:
                pieces.append(self.losses[start:stop])
            start = stop
        return np.concatenate(pieces)

    def leave_out(self, recorded: list[int]) -> None:
        """Train no branch of these runs again, nor the trunk past the last run that is still to be trained."""
        start = last_needed = 0
        for segment in self.segments:
            stop = start + segment.steps
            if segment.run in recorded:
                self.to_train[start:stop] = False
            elif segment.run is not None:
                last_needed = stop
            start = stop
        self.to_train[last_needed:] = False
        self.position = self.next_to_train(self.position)

    def next_to_train(self, position: int) -> int:
        """The first position from this one on whose step is to be trained; `total_steps` where there is none."""
        ahead = np.flatnonzero(self.to_train[position:])
        return position + int(ahead[0]) if len(ahead) else self.total_steps

    def configure_model(self) -> None:
        strategy = self.trainer.strategy
        if isinstance(strategy, FullyShardedStrategy):
            strategy.shard(self.model, str(self.trainer.precision))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = build_optimizer(self.recipe.optim, self.model, self.recipe.lr, self.precision)
        supported = trains_with_cpu_kernels(self.precision, self.trainer.world_size)
        if self.device.type == "cpu" and supported and self._forward is self.model:
            self.model.use_cpu_kernels()
            self._compile_kernels()
            optimizer.zero_grad()
        return optimizer

    def _compile_kernels(self) -> None:
        """Compile the CPU kernels, or read them from the disk, before a step is timed and its memory metered."""
        token = torch.zeros((1, 1), dtype=torch.int64)
        with torch.inference_mode():
            loss_and_backward(partial(self.model.loss, token, token))

    def batches(self, position: int, steps: int) -> Iterator[Tensor]:
        """This rank's share of the batches of consecutive steps, all of one size: windows of tokens (B, T + 1)."""
        recipe = self.recipe
        _, step = segment_at(self.segments, position)
        before, sequences = recipe.batches.sequences_before(step), recipe.batches.sequences(step)
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        # The windows of several batches are consecutive in the shuffled order: one call finds them all.
        order = window_order(recipe.seed, before, steps * sequences, self.tokens.windows(recipe.context))
        for batch in order.reshape(steps, sequences):
            yield torch.from_numpy(self.tokens.gather(batch[rank::ranks], recipe.context)).to(self.device)

    def training_step(self, batch: tuple[int, int], batch_idx: int) -> None:
        """Take a group of steps (`step_groups.py`): `batch` is the position of the first, and their number."""
        first, steps = batch
        assert first == self.position, f"step {first} arrived at position {self.position}"
        # The CPU kernels need nothing of autograd, not even its version counters of tensors.
        with torch.inference_mode() if self.model.uses_cpu_kernels else nullcontext():
            for windows in self.batches(first, steps):
                self._optimizer_step(windows)
                self.position += 1

    def _optimizer_step(self, windows: Tensor) -> None:
        segment, step = segment_at(self.segments, self.position)
        optimizer: Any = self.optimizers()
        fraction = self.recipe.lr_fraction(segment, step)
        for group in optimizer.param_groups:
            group["lr"] = fraction * group["peak_lr"]

        micro_batches = torch.split(windows, self.recipe.micro_batch_sequences)
        optimizer.zero_grad()
        total: Any = 0.0
        # Every rank has an equal share of the batch: the batch's gradient is the mean over ranks. DDP takes that mean
        # once a step; FSDP takes it for every micro-batch, since no rank could hold the whole gradient until the end.
        without_sync: Any = getattr(self.trainer.strategy, "block_backward_sync", nullcontext)
        for index, micro_batch in enumerate(micro_batches):
            share, inputs, targets = len(micro_batch) / len(windows), micro_batch[:, :-1], micro_batch[:, 1:]
            if self.model.uses_cpu_kernels:  # one process and no loss scaling: Lightning has nothing to add
                loss = loss_and_backward(partial(self.model.loss, inputs, targets), share)
            else:
                loss = next_token_loss(self._forward(inputs), targets)
                with without_sync() if index + 1 < len(micro_batches) else nullcontext():
                    self.manual_backward(loss * share)
            total += loss.detach() * share
        if self.recipe.optim.grad_clip is not None:
            updated = [p for group in optimizer.param_groups for p in group["params"]]
            if self.model.uses_cpu_kernels:
                clip_gradients(updated, self.recipe.optim.grad_clip)
            else:
                torch.nn.utils.clip_grad_norm_(updated, self.recipe.optim.grad_clip, foreach=True)
        optimizer.step()
        self._unfetched.append((self.position, total))

    def flush_losses(self) -> None:
        """Fetch the losses of the last steps from the device, with one synchronisation for all of them.

        All ranks call it after the same step, and all receive the mean over ranks.
        """
        if self._unfetched:
            positions = [position for position, _ in self._unfetched]
            losses = torch.stack([loss for _, loss in self._unfetched])
            losses = self.trainer.strategy.reduce(losses, reduce_op="mean")
            self.losses[positions] = losses.double().cpu().numpy()
            self._unfetched.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.flush_losses()
        checkpoint["position"] = self.position
        checkpoint["losses"] = torch.from_numpy(self.losses)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.position = self.next_to_train(int(checkpoint["position"]))
        self.losses = checkpoint["losses"].numpy().copy()

    @torch.no_grad()
    def validation_losses(self, corpus: TokenCorpus, batch_tokens: int) -> np.ndarray:
        """Mean loss of each validation window, nats a token; float64 of shape (windows,).

        The windows and their order are the same for every model with this corpus and context. All ranks call it; each
        evaluates a share of the windows, and all receive the losses of all windows.
        """
        context = self.recipe.context
        count = corpus.validation.windows(context)
        assert count is not None, "validation sets are finite"
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        # Ranks compute together, so each needs as many windows: some compute the last window once more.
        mine = np.minimum(np.arange(rank, -(-count // ranks) * ranks, ranks), count - 1)
        size = max(1, batch_tokens // context)
        losses: list[Tensor] = []
        for start in range(0, len(mine), size):
            indices = mine[start : start + size]
            windows = torch.from_numpy(corpus.validation.gather(indices, context)).to(self.device)
            with self.trainer.precision_plugin.forward_context():
                logits = self._forward(windows[:, :-1])
            each = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), windows[:, 1:].flatten(), reduction="none"
            )
            losses.append(each.view(len(windows), context).double().mean(dim=1).cpu())
        own = torch.cat(losses)
        if ranks > 1:
            own = own.to(self.device)
            of_ranks = [torch.empty_like(own) for _ in range(ranks)]
            torch.distributed.all_gather(of_ranks, own)
            own = torch.stack(of_ranks, dim=1).flatten()[:count].cpu()
        return own.numpy()

    def diverged(self, position: int) -> str | None:
        """The reason why training has diverged by a position; None where it has not.

        A model that predicts all tokens alike has a loss of ln(vocabulary) nats. One nat more counts as diverged.
        """
        recent = self.losses_to(position)[-20:]
        if not np.isfinite(recent).all():
            return f"training loss was not finite at step {position}"
        limit = math.log(self.model.shape.vocab_size) + 1
        if recent.mean() > limit:
            return f"training loss rose to {recent.mean():.2f} nats, above ln(vocabulary) + 1 = {limit:.2f}"
        return None


# Lightning asks for the signature before every group of steps; without this it is worked out each time.
Pretraining.training_step.__signature__ = inspect.signature(Pretraining.training_step)  # type: ignore[attr-defined]  # functions have it
