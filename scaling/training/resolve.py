"""What a config leaves open about a job, resolved: the model's shape and the recipe, checked against the corpus."""

from dataclasses import replace

from scaling.config.schema import ModelConfig, TrainConfig
from scaling.corpus import TokenCorpus
from scaling.errors import UserError
from scaling.shape.ladder import head_width, shape_for
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape, usual_ffn_width
from scaling.training.batch_ramp import batch_ramp
from scaling.training.recipe import Recipe, peak_lr, warmup_tokens

MOST_STEPS = 10**9
"""Optimizer steps of a run at most: the loss of each step is kept in memory."""


def resolve_shape(config: TrainConfig, vocab_size: int) -> ModelShape:
    """The decoder's shape: as configured, or from the ladder when `model.target_params` is given."""
    model = config.model
    size = head_width(model.width)
    heads = model.heads or max(1, model.width // size)
    kv_heads = model.kv_heads or heads
    if model.width % heads:
        divisors = [
            h for h in range(1, model.width + 1) if model.width % h == 0 and (model.width // h) % 2 == 0
        ]
        near = sorted(divisors, key=lambda h: abs(h - heads))[:3]
        raise UserError(
            f"model.heads={heads}: does not divide model.width={model.width}; "
            f"try model.heads={' or '.join(str(h) for h in sorted(near))}"
        )
    shape = ModelShape(
        width=model.width,
        depth=model.depth,
        heads=heads,
        kv_heads=kv_heads,
        head_width=model.width // heads,
        ffn_width=model.ffn_width or usual_ffn_width(model.width, model.ffn),
        ffn=model.ffn,  # type: ignore[arg-type]
        vocab_size=vocab_size,
        context=model.context,
        tied_head=model.tied_head,
        qk_norm=model.qk_norm,
    )
    return shape if model.target_params is None else shape_for(model.target_params, like=shape)


def pinned(model: ModelConfig, shape: ModelShape) -> ModelConfig:
    """The keys of a model with the shape that they were resolved to, in the place of the rules for it."""
    return replace(
        model,
        target_params=None,
        width=shape.width,
        depth=shape.depth,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        ffn_width=shape.ffn_width,
    )


def resolve_recipe(config: TrainConfig, shape: ModelShape) -> Recipe:
    """Learning rate, batch, warmup and steps of a job, every rule resolved.

    Raises:
        UserError: when a budget is shorter than one batch, or a micro-batch does not fit the batch.
    """
    params = count_params(shape).total
    budgets = [run.tokens for run in config.runs]
    batches = batch_ramp(config.optim, shape.context, budgets[-1])
    first = batches.tokens_before(1)
    if budgets[0] < first:
        raise UserError(
            f"tokens={budgets[0]:g}: shorter than one batch of {first} tokens; "
            "raise tokens or lower optim.batch_tokens"
        )
    devices = config.trainer.devices
    if batches.sequences(0) % devices:
        raise UserError(
            f"trainer.devices={devices}: the first batch, of {batches.sequences(0)} sequences, does not divide among "
            f"them; set optim.batch_smallest or optim.batch_tokens to a multiple of {devices * shape.context}"
        )
    run_steps = tuple(batches.steps_for(budget) for budget in budgets)
    if run_steps[-1] > MOST_STEPS:
        raise UserError(
            f"tokens={budgets[-1]:g}: takes {run_steps[-1]:.3g} optimizer steps, and {MOST_STEPS:.0e} are the most; "
            "lower tokens, or raise optim.batch_tokens"
        )
    batches = batches.until(run_steps[-1])
    micro = batches.stages[-1].sequences // devices
    if config.trainer.micro_batch_tokens is not None:
        micro = min(micro, config.trainer.micro_batch_tokens // shape.context)
        if micro == 0:
            raise UserError(
                f"trainer.micro_batch_tokens={config.trainer.micro_batch_tokens}: "
                f"must hold at least one sequence of {shape.context} tokens"
            )
    return Recipe(
        optim=config.optim,
        schedule=config.schedule,
        lr=peak_lr(config.optim, params),
        warmup_tokens=warmup_tokens(config.schedule, params, budgets[0]),
        batches=batches,
        micro_batch_sequences=micro,
        run_steps=run_steps,
        seed=config.seed,
    )


def check_corpus(corpus: TokenCorpus, recipe: Recipe) -> None:
    """Refuse a corpus shorter than one batch, or without enough held-out text for a standard error.

    Raises:
        UserError: one line, with the remedy.
    """
    windows = corpus.train.windows(recipe.context)
    largest = recipe.batches.stages[-1].sequences
    if windows is not None and windows < largest:
        raise UserError(
            f"corpus={corpus.name}: {corpus.train_tokens} training tokens are {windows} windows of {recipe.context}, "
            f"less than one batch of {largest}; use more text, or lower optim.batch_tokens "
            f"or model.context"
        )
    held_out = corpus.validation.windows(recipe.context)
    if held_out is not None and held_out < 2:
        raise UserError(
            f"corpus={corpus.name}: {held_out} validation windows of {recipe.context} tokens give no standard error; "
            f"raise corpus.validation_bytes and corpus.validation_fraction, or lower model.context"
        )
