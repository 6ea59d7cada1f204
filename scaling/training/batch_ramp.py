"""The size of the batch, which doubles from time to time as a run sees more tokens.

The best batch size grows with the tokens trained on, and hardly with the model (Zhang et al., 2024, arXiv:2410.21676;
McCandlish et al., 2018, arXiv:1812.06162, explain why). Here the batch follows the tokens seen so far rather than the
length of the run, so that all budgets of a model size can share one trunk. `benchmarks/results/hyperparameters.csv`
shows how near that comes to the best batch size.
"""

from dataclasses import dataclass
from math import ceil

from scaling.config.schema import OptimConfig
from scaling.errors import UserError

REFERENCE_TOKENS = 1e6
"""Tokens seen at which the batch is `optim.batch_reference`."""


@dataclass(frozen=True, kw_only=True)
class BatchStage:
    """Consecutive steps of one batch size."""

    first_step: int
    first_sequence: int
    """Sequences that the run has seen before the stage."""
    sequences: int
    """Sequences in the batch of one optimizer step, over all devices."""


@dataclass(frozen=True, kw_only=True)
class BatchRamp:
    """The batch size of every step; the last stage has no end."""

    context: int
    """Tokens in a sequence."""
    stages: tuple[BatchStage, ...]

    def sequences(self, step: int) -> int:
        """Sequences in the batch of a step."""
        return self._stage(step).sequences

    def sequences_before(self, step: int) -> int:
        """Sequences that the run has seen before a step."""
        stage = self._stage(step)
        return stage.first_sequence + (step - stage.first_step) * stage.sequences

    def tokens_before(self, step: int) -> int:
        """Tokens that the run has seen before a step."""
        return self.sequences_before(step) * self.context

    def steps_for(self, tokens: float) -> int:
        """The number of steps whose tokens come nearest to a budget."""
        sequences = tokens / self.context
        stage = next(s for s in reversed(self.stages) if s.first_sequence <= sequences)
        return stage.first_step + round((sequences - stage.first_sequence) / stage.sequences)

    def until(self, steps: int) -> "BatchRamp":
        """This ramp without the stages that a run of so many steps does not reach."""
        return BatchRamp(context=self.context, stages=tuple(s for s in self.stages if s.first_step < steps))

    def _stage(self, step: int) -> BatchStage:
        return next(s for s in reversed(self.stages) if s.first_step <= step)


def batch_ramp(config: OptimConfig, context: int, largest_tokens: float) -> BatchRamp:
    """The batch sizes of a job: one size, as configured, or batch_reference · (tokens seen / 1e6)^batch_exponent.

    The batch starts at `batch_smallest` and doubles as soon as the rule reaches the doubled size.

    Args:
        config: a fixed batch size, or the rule.
        context: tokens in a sequence.
        largest_tokens: token budget of the job's longest run; no stage starts after it.

    Raises:
        UserError: when `optim.batch_tokens` is not a whole number of sequences.
    """
    if config.batch_tokens is not None:
        sequences, rest = divmod(config.batch_tokens, context)
        if rest or not sequences:
            raise UserError(
                f"optim.batch_tokens={config.batch_tokens}: must be a whole multiple of model.context={context}"
            )
        return constant(sequences, context)
    if config.batch_exponent == 0:
        return constant(max(1, round(config.batch_reference / context)), context)
    stage = BatchStage(
        first_step=0, first_sequence=0, sequences=max(1, round(config.batch_smallest / context))
    )
    stages = [stage]
    while True:
        double = 2 * stage.sequences
        begins = REFERENCE_TOKENS * (double * context / config.batch_reference) ** (1 / config.batch_exponent)
        if begins >= largest_tokens:
            return BatchRamp(context=context, stages=tuple(stages))
        # The first step at or after the tokens at which the rule reaches the doubled size.
        steps = max(0, ceil((begins / context - stage.first_sequence) / stage.sequences))
        stage = BatchStage(
            first_step=stage.first_step + steps,
            first_sequence=stage.first_sequence + steps * stage.sequences,
            sequences=double,
        )
        if (
            steps == 0
        ):  # batch_smallest is below what the rule gives at the start: begin with the doubled size
            stages.pop()
        stages.append(stage)


def constant(sequences: int, context: int) -> BatchRamp:
    """A ramp with the same batch size at every step."""
    stage = BatchStage(first_step=0, first_sequence=0, sequences=sequences)
    return BatchRamp(context=context, stages=(stage,))
