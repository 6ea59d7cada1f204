"""The LightningModule: one optimizer step, and the validation loss."""

import inspect
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from scaling.corpus import TokenCorpus
from scaling.corpus.order import window_order
from scaling.model.cpu_backward import loss_and_backward
from scaling.model.cpu_support import trains_with_cpu_kernels
from scaling.model.decoder import Decoder, next_token_loss
from scaling.shape.flops import train_flops_per_token
from scaling.shape.shape import ModelShape
from scaling.training.fsdp import FullyShardedStrategy
from scaling.training.optim import build_optimizer, clip_gradients
from scaling.training.recipe import Recipe
from scaling.training.segments import Segment, steps_trained

METERED_STEPS = 2
"""Steps that tell a run's peak memory: the optimizer's state exists from the second on."""


TOGETHER_FLOPS = 1e10
"""FLOPs of the steps that are one to Lightning, about: a tenth of a second of a processor, beside which its own work is
little (`benchmarks/throughput.py`); a run can be ended, looked at and kept between them."""
MOST_TOGETHER = 16
"""Most steps that are one to Lightning: what is left of its work is little by then."""


def steps_together(shape: ModelShape, sequences: int) -> int:
    """Optimizer steps that are one to Lightning."""
    step_flops = train_flops_per_token(shape, "exact") * shape.context * sequences
    return min(MOST_TOGETHER, max(1, int(TOGETHER_FLOPS / step_flops)))


class Pretraining(L.LightningModule):
    """Next-token training of a decoder through the steps of a job.

    `position` counts the job's optimizer steps; it is the whole state of the data order, since batch i of a run
    is a pure function of (seed, i). Optimisation is manual: it costs a third of Lightning's automatic loop, and
    leaves gradient accumulation and clipping where they can be read.
    """

    def __init__(
        self, model: Decoder, recipe: Recipe, corpus: TokenCorpus, precision: str, compile: bool = False
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.recipe, self.precision, self.tokens = recipe, precision, corpus.train
        self.plan = recipe.plan
        self.total_steps = steps_trained(self.plan)
        self.position = 0
        self.to_train = np.ones(self.total_steps, dtype=bool)
        self._forward: Any = torch.compile(model) if compile else model
        # Mean training loss of every step of the job; NaN where not trained yet. Kept off the per-step path.
        self.losses = np.full(self.total_steps, np.nan)
        self._pending: list[tuple[int, Tensor]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the hook under way thirty times a step, and a module looks for parameters in what it gets.
        if name in ("_current_fx_name", "position"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # two numbers

    def at(self, position: int) -> tuple[Segment, int]:
        """The segment and the step of the run it stands for, at a position of the job."""
        for segment in self.plan:
            length = segment.stop - segment.start
            if position < length:
                return segment, segment.start + position
            position -= length
        raise AssertionError(f"position {position} past the job's end")

    def tokens_trained(self, position: int) -> int:
        """Tokens trained in the job before a position, trunk and branches together."""
        tokens = 0
        for segment in self.plan:
            stop = min(segment.stop, segment.start + position)
            tokens += self.recipe.tokens_in([replace(segment, stop=stop)])
            position -= stop - segment.start
        return tokens

    def end_of(self, segment: Segment) -> int:
        """One past the last position of a segment."""
        index = self.plan.index(segment)
        return steps_trained(self.plan[: index + 1])

    def losses_to(self, position: int) -> np.ndarray:
        """Training loss of each step of the run under way just before a position, as if trained alone: the trunk's
        up to where it left, then its own; float64 of shape (steps so far,)."""
        own, _ = self.at(position - 1)
        start, pieces = 0, []
        for segment in self.plan[: self.plan.index(own) + 1]:
            stop = min(position, start + segment.stop - segment.start)
            if segment.run is None or segment == own:
                pieces.append(self.losses[start:stop])
            start = stop
        return np.concatenate(pieces)

    def leave_out(self, recorded: list[int]) -> None:
        """Train no branch of these runs again, nor the trunk past the last run that is wanted."""
        start = wanted = 0
        for segment in self.plan:
            stop = start + segment.stop - segment.start
            if segment.run in recorded:
                self.to_train[start:stop] = False
            elif segment.run is not None:
                wanted = stop
            start = stop
        self.to_train[wanted:] = False
        self.position = self.next_to_train(self.position)

    def next_to_train(self, position: int) -> int:
        """The first position from here on that is to be trained; `total_steps` where none is."""
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
            self.model.use_cpu_kernels()  # in the weights' own precision, which the optimizer has just set
            self._compile_kernels()
            optimizer.zero_grad()
        return optimizer

    def _compile_kernels(self) -> None:
        """Compile what a step runs, or read it from the disk, before the first step is timed and its memory metered."""
        token = torch.zeros((1, 1), dtype=torch.int64)
        with torch.inference_mode():
            loss_and_backward(partial(self.model.loss, token, token))

    def batches(self, position: int, steps: int) -> Iterator[Tensor]:
        """This rank's share of the batches of some steps of one size, windows of tokens (B, T + 1)."""
        recipe = self.recipe
        _, step = self.at(position)
        before, sequences = recipe.batches.sequences_before(step), recipe.batches.sequences(step)
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        # Batches follow one another through the corpus: the order of several is found at the price of one.
        order = window_order(recipe.seed, before, steps * sequences, self.tokens.windows(recipe.context))
        for batch in order.reshape(steps, sequences):
            yield torch.from_numpy(self.tokens.gather(batch[rank::ranks], recipe.context)).to(self.device)

    def training_step(self, batch: tuple[int, int], batch_idx: int) -> None:
        """Some optimizer steps, which are one to Lightning: it takes its time for each of what it calls a batch."""
        first, steps = batch
        assert first == self.position, f"step {first} arrived at position {self.position}"
        # What is written out needs nothing of autograd, not even to count changes of tensors.
        with torch.inference_mode() if self.model.uses_cpu_kernels else nullcontext():
            for windows in self.batches(first, steps):
                self._optimizer_step(windows)
                self.position += 1

    def _optimizer_step(self, windows: Tensor) -> None:
        segment, step = self.at(self.position)
        optimizer: Any = self.optimizers()
        fraction = self.recipe.lr_fraction(segment, step)
        for group in optimizer.param_groups:
            group["lr"] = fraction * group["peak_lr"]

        parts = windows.split(self.recipe.micro_batch_sequences)
        optimizer.zero_grad()
        total: Any = 0.0
        # Of several ranks each has an equal share of the batch: the mean of their gradients is the batch's. Replicas
        # (DDP) take it once a step; sharded ones with every part, whose gradient no rank could keep whole.
        alone: Any = getattr(self.trainer.strategy, "block_backward_sync", nullcontext)
        for index, part in enumerate(parts):
            share, inputs, targets = len(part) / len(windows), part[:, :-1], part[:, 1:]
            if self.model.uses_cpu_kernels:  # one process, gradients unscaled: nothing for Lightning to do
                loss = loss_and_backward(partial(self.model.loss, inputs, targets), share)
            else:
                loss = next_token_loss(self._forward(inputs), targets)
                with alone() if index + 1 < len(parts) else nullcontext():
                    self.manual_backward(loss * share)
            total += loss.detach() * share
        if self.recipe.optim.grad_clip is not None:
            updated = [p for group in optimizer.param_groups for p in group["params"]]
            if self.model.uses_cpu_kernels:
                clip_gradients(updated, self.recipe.optim.grad_clip)
            else:
                torch.nn.utils.clip_grad_norm_(updated, self.recipe.optim.grad_clip, foreach=True)
        optimizer.step()
        self._pending.append((self.position, total))

    def flush_losses(self) -> None:
        """Bring the losses of the last steps from the device: one synchronisation for many steps.

        All ranks call it after the same step, and all have then the mean over ranks.
        """
        if self._pending:
            positions = [position for position, _ in self._pending]
            losses = torch.stack([loss for _, loss in self._pending])
            losses = self.trainer.strategy.reduce(losses, reduce_op="mean")
            self.losses[positions] = losses.double().cpu().numpy()
            self._pending.clear()

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

        The same windows, in the same order, for every model with this corpus and context. Ranks share them out, all
        call it, and all have the losses of all windows.
        """
        context = self.recipe.context
        count = corpus.validation.windows(context)
        assert count is not None, "validation sets are finite"
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        # As many for each rank, since they compute together: the last windows of some are computed twice.
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
            everyone = [torch.empty_like(own) for _ in range(ranks)]
            torch.distributed.all_gather(everyone, own)
            own = torch.stack(everyone, dim=1).flatten()[:count].cpu()
        return own.numpy()

    def diverged(self, position: int) -> str | None:
        """Why the losses just before a position mean that training has diverged, or None.

        A model that knows nothing loses ln(vocabulary) nats; one nat above that is worse than ignorance.
        """
        recent = self.losses_to(position)[-20:]
        if not np.isfinite(recent).all():
            return f"training loss was not finite at step {position}"
        limit = math.log(self.model.shape.vocab_size) + 1
        if recent.mean() > limit:
            return f"training loss rose to {recent.mean():.2f} nats, above ln(vocabulary) + 1 = {limit:.2f}"
        return None


# Lightning asks for it before every step.
Pretraining.training_step.__signature__ = inspect.signature(Pretraining.training_step)  # type: ignore[attr-defined]


class JobSteps(IterableDataset):
    """The steps of a job from the module's position on, some at a time: (position, how many)."""

    def __init__(self, module: Pretraining, one_by_one: bool) -> None:
        self.module, self.one_by_one = module, one_by_one

    def __iter__(self) -> Iterator[tuple[int, int]]:
        module, largest = self.module, 0
        position = module.next_to_train(module.position)
        while position < module.total_steps:
            segment, step = module.at(position)
            sequences = module.recipe.batches.sequences(step)
            # The first steps with a batch larger than any before are measured, and no others with them.
            most = METERED_STEPS if sequences > largest else steps_together(module.model.shape, sequences)
            if self.one_by_one:
                most = 1
            steps = 1
            while (
                steps < most
                and step + steps < segment.stop
                and module.recipe.batches.sequences(step + steps) == sequences
            ):
                steps += 1
            yield position, steps
            largest = max(largest, sequences)
            position = module.next_to_train(position + steps)


def loader(steps: JobSteps) -> DataLoader:
    """What Lightning iterates over; batches themselves are gathered by the step that they are for."""
    return DataLoader(steps, batch_size=None, num_workers=0)
