"""What is known of a run before it trains: the planned facts of its record, and its memory. Imports no torch."""

from dataclasses import replace

from scaling.accounting.layout import Layout
from scaling.accounting.memory import ALLOCATOR_SLACK, MemoryEstimate, training_memory
from scaling.accounting.recipe import Runtime, TrainingRecipe, processor_runtime
from scaling.config.schema import SweepConfig
from scaling.records.records import PlannedFacts
from scaling.shape.flops import train_flops_per_token
from scaling.shape.params import count_params
from scaling.training.job import Job, code_version

GPU_PROBE_WIDTHS = (4096, 8192)
"""Widths of the square matrices that `scaling/training/meters.py` multiplies to time a GPU, at the end of a run."""


def planned_facts(job: Job, run: int) -> PlannedFacts:
    """The fields of a run's record that follow from its plan: identity, shape, data, recipe and FLOPs."""
    shape, recipe, config = job.shape, job.recipe, job.config
    params = count_params(shape)
    tokens = job.tokens[run]
    corpus_tokens = job.corpus.train_tokens
    last_batch = recipe.batches.sequences(recipe.run_steps[run] - 1)
    return PlannedFacts(
        run_id=job.run_folders[run].name,
        trunk_id=config.name,
        identity=job.identities[run],
        code_version=code_version(),
        seed=config.seed,
        budget_flops=config.runs[run].budget_flops,
        budget_convention=config.design.convention if isinstance(config, SweepConfig) else None,
        width=shape.width,
        depth=shape.depth,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_width=shape.head_width,
        ffn_width=shape.ffn_width,
        ffn=shape.ffn,
        vocab_size=shape.vocab_size,
        context=shape.context,
        tied_head=shape.tied_head,
        qk_norm=shape.qk_norm,
        params_total=params.total,
        params_non_embedding=params.non_embedding,
        params_embedding=params.embedding,
        params_attention=params.attention,
        params_ffn=params.ffn,
        params_norms=params.norms,
        params_head=params.head,
        corpus=job.corpus.name,
        corpus_fingerprint=job.corpus.fingerprint,
        entropy_nats=job.corpus.entropy_nats_per_token,
        tokenizer=type(config.tokenizer).__name__.removesuffix("Tokenizer").lower(),
        tokens=tokens,
        unique_tokens=tokens if corpus_tokens is None else min(tokens, corpus_tokens),
        epochs=1.0 if corpus_tokens is None else tokens / corpus_tokens,
        batch_tokens=last_batch * recipe.context,
        micro_batch_tokens=min(recipe.micro_batch_sequences, last_batch // config.trainer.devices)
        * recipe.context,
        steps=recipe.run_steps[run],
        optimizer=config.optim.kind,
        schedule=config.schedule.kind,
        lr=recipe.lr,
        warmup_tokens=recipe.warmup_tokens,
        precision=config.trainer.precision,
        train_flops_6nd=6.0 * params.total * tokens,
        train_flops_exact=float(tokens * train_flops_per_token(shape, "exact")),
    )


def predicted_memory(job: Job, run: int, device: str) -> int:
    """Peak bytes of live tensors on each device in a run's largest step, by `scaling.accounting.memory`."""
    return round(_estimate(job, run, device).peak_allocated_bytes)


def reserved_memory(job: Job, run: int) -> int:
    """Peak bytes that PyTorch reserves on each GPU in a run's largest step."""
    return round(_estimate(job, run, "cuda").peak_memory_bytes)


def evaluation_memory(job: Job, run: int) -> int:
    """Upper bound of the bytes that PyTorch reserves on each GPU at a run's end, when it evaluates and times the GPU.

    The model's states stay in memory. Beside them there is either a forward pass on validation text, which keeps one
    block's activations at a time and so takes no more than a training step of a model of one block on as many tokens,
    or the matrices of the timing.
    """
    trainer = job.config.trainer
    windows = max(1, trainer.validation_batch_tokens // job.shape.context)
    one_block = training_memory(
        replace(job.shape, depth=1), _training_recipe(job, "cuda"), Layout(micro_batch=windows)
    )
    passing = max(
        sum(instant.components.get(name, 0.0) for name in ("activations", "logits"))
        for instant in one_block.instants
    )
    number_bytes = 4 if trainer.precision == "32-true" else 2
    probing = sum(2 * number_bytes * width**2 for width in GPU_PROBE_WIDTHS)  # a matrix and its product
    states = _estimate(job, run, "cuda").states.total
    return round((1 + ALLOCATOR_SLACK) * (states + max(passing, probing)))


def _estimate(job: Job, run: int, device: str) -> MemoryEstimate:
    trainer = job.config.trainer
    devices = trainer.devices
    sequences = job.recipe.batches.sequences(job.recipe.run_steps[run] - 1)
    micro = min(job.recipe.micro_batch_sequences, sequences // devices)
    accumulation = -(-sequences // (micro * devices))
    sharded = devices > 1 and trainer.strategy == "fsdp"
    layout = Layout(
        data=devices, zero_stage=3 if sharded else 0, micro_batch=micro, accumulation=accumulation
    )
    return training_memory(job.shape, _training_recipe(job, device), layout)


def _training_recipe(job: Job, device: str) -> TrainingRecipe:
    trainer = job.config.trainer
    runtime: Runtime = "torch"
    if device == "cpu":
        runtime = "torch_cpu" if trainer.compile else processor_runtime(trainer.precision, trainer.devices)
    # Hydra's configs hold plain strings, not `Literal`; theirs are among those of `TrainingRecipe`.
    return TrainingRecipe(
        optimizer=job.config.optim.kind,  # type: ignore[arg-type]
        precision=trainer.precision,  # type: ignore[arg-type]
        runtime=runtime,
    )
