"""The keys of `scaling budget`: what a user may give to each question, with unit and meaning.

The text under a field is its help. `parse_keys(["model=llama-2-7b", "tokens=2T"], BudgetKeys)` reads them from words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Annotated, TypeVar

from scaling.accounting.cost import CARBON_KG_PER_KWH, GOODPUT, POWER_USAGE_EFFECTIVENESS, REALISED
from scaling.config.overrides import parse
from scaling.config.ranges import COUNT, FLOPS, PARAMS, POSITIVE, TOKENS, Range

Schema = TypeVar("Schema")

DEFAULT_LAW = "besiroglu2024"
"""The law that `solve` goes by: the refit of Hoffmann et al. 2022, whose uncertainty is known."""


@dataclass(kw_only=True)
class ModelKeys:
    """A published model by name, a size for the ladder, or a shape; a shape's keys also change a named model."""

    name: str | None = None
    """A published model: gpt2, llama-2-7b, gpt3-175b, mixtral-8x7b … (model=NAME is short for model.name=NAME); or a
    Hugging Face config: a path to config.json or its folder, or hf:OWNER/NAME in the local cache."""
    params: Annotated[float | None, PARAMS] = None
    """Total parameters to aim at; the ladder then chooses the shape."""
    width: Annotated[int | None, Range(at_least=1, at_most=10**7)] = None
    """Residual stream width (d_model)."""
    depth: Annotated[int | None, Range(at_least=1, at_most=10**6)] = None
    """Number of blocks."""
    heads: Annotated[int | None, Range(at_least=1, at_most=10**6)] = None
    """Query heads; by default width over the ladder's head width."""
    kv_heads: Annotated[int | None, Range(at_least=1, at_most=10**6)] = None
    """Key/value heads (grouped-query attention); by default as many as query heads."""
    head_width: Annotated[int | None, Range(at_least=1, at_most=10**7)] = None
    """Features a head; by default width / heads."""
    ffn_width: Annotated[int | None, Range(at_least=1, at_most=10**8)] = None
    """Hidden width of the feed-forward; by default 8/3 width for swiglu, 4 width for gelu."""
    ffn: str | None = None
    """swiglu (three matrices) or gelu (two)."""
    vocab_size: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Rows of the embedding; by default 50257."""
    context: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Tokens a sequence; by default 1024."""
    tied_head: bool | None = None
    """Whether the head shares the embedding's matrix; by default yes."""
    qk_norm: bool | None = None
    """Whether queries and keys are normalised a head; by default yes."""
    window: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Tokens that attention sees at most (sliding window); by default all before."""
    full_every: Annotated[int | None, Range(at_least=1, at_most=10**6)] = None
    """With a window: each so-many-th block sees the whole text all the same."""
    mtp_depth: Annotated[int | None, Range(at_least=0, at_most=100)] = None
    """Modules that are trained to predict one more token each (multi-token prediction); by default none."""
    experts: Annotated[int | None, Range(at_least=0, at_most=10**6)] = None
    """Routed experts a block (mixture of experts)."""
    experts_active: Annotated[int | None, Range(at_least=0, at_most=10**6)] = None
    """Routed experts a token visits."""
    shared_experts: Annotated[int | None, Range(at_least=0, at_most=10**6)] = None
    """Experts that every token visits."""
    expert_width: Annotated[int | None, Range(at_least=1, at_most=10**8)] = None
    """Hidden width of one expert."""


@dataclass(kw_only=True)
class LayoutKeys:
    """How the job is spread over devices; leave all of it out to have the fastest layout that fits."""

    data: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Data-parallel replicas; by default what `devices` leaves."""
    zero_stage: Annotated[int | None, Range(at_least=0, at_most=3)] = None
    """ZeRO stage: 1 shards optimizer states, 2 gradients too, 3 weights too (FSDP)."""
    zero_group: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Devices that share one copy of what ZeRO-3 shards (hybrid sharding); by default all replicas."""
    tensor: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Tensor-parallel degree."""
    sequence: bool | None = None
    """Sequence parallelism beside tensor parallelism; by default on where tensor > 1."""
    pipeline: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Pipeline stages."""
    interleave: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Virtual stages a pipeline device."""
    context: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Context-parallel degree."""
    expert: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Expert-parallel degree."""
    micro_batch: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Sequences a replica computes at a time."""
    accumulation: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Micro-batches a replica computes before a step; by default what batch_tokens needs."""


@dataclass(kw_only=True)
class TrainingKeys:
    """How the model is trained, what that costs, and where."""

    hardware: str = "a100-80gb"
    """A device of the catalogue, or a YAML file of your own device."""
    precision: str | None = None
    """32-true; bf16-mixed, 16-mixed or fp8-mixed (float32 weights); bf16-master, 16-master (Megatron); bf16-true,
    16-true. By default mixed in the device's usual 16 bits."""
    optimizer: str = "adamw"
    """adamw, adamw_8bit, sgd, sgd_momentum, muon or adafactor."""
    runtime: str | None = None
    """torch (accelerators), torch_cpu (eager, exact live bytes), written_out (as this project trains its own decoder on
    a processor) or megatron; by default torch, on cpu torch_cpu."""
    recompute: str = "auto"
    """What backward runs again: none, selective (attention), selective_ops (every second product and all element-wise
    work), full (every block), or auto: the least that fits."""
    attention: str = "flash"
    """flash, or materialised (scores written to memory)."""
    kernels: str = "fused"
    """Element-wise work: fused (torch.compile) or eager."""
    batch_tokens: Annotated[float | None, COUNT] = None
    """Tokens an optimizer step; by default a published rule of the run's FLOPs."""
    price: Annotated[float | None, Range(at_least=0, at_most=1e9)] = None
    """US dollars a device-hour; by default the catalogue's dated example."""
    goodput: Annotated[float, Range(above=0, at_most=1)] = GOODPUT
    """Share of wall-clock time spent in steps."""
    realised: Annotated[float, POSITIVE] = REALISED
    """Speed of your run over that of well-tuned code, which the step time is."""
    pue: Annotated[float, Range(at_least=1, at_most=1000)] = POWER_USAGE_EFFECTIVENESS
    """Power usage effectiveness: energy of the site over that of its devices."""
    carbon_kg_per_kwh: Annotated[float, Range(at_least=0, at_most=1000)] = CARBON_KG_PER_KWH
    """Carbon intensity of the grid."""
    measured_tokens_per_second: Annotated[float | None, POSITIVE] = None
    """Speed you measured for this very job, all devices together: replaces the estimated one (and realised)."""
    measured_run: str | None = None
    """Folder of your own runs (runs/NAME) on this hardware: the run nearest in size says how your speed compares with
    the estimate (in place of realised)."""


@dataclass(kw_only=True)
class BudgetKeys(TrainingKeys):
    """From a model, a recipe and hardware to parameters, FLOPs, memory, time, money and energy."""

    model: ModelKeys = field(default_factory=ModelKeys)
    tokens: Annotated[float | None, TOKENS] = None
    """Training tokens; by default 20 a parameter."""
    devices: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Devices; by default one, or those that `layout` names."""
    days: Annotated[float | None, POSITIVE] = None
    """Deadline: takes the fewest devices (a power of two) that meet it."""
    layout: LayoutKeys = field(default_factory=LayoutKeys)


@dataclass(kw_only=True)
class SolveKeys(TrainingKeys):
    """What you have; give one of flops, pf_days, device_hours, money, or devices and days together."""

    flops: Annotated[float | None, FLOPS] = None
    """Training compute in FLOPs (6ND)."""
    pf_days: Annotated[float | None, POSITIVE] = None
    """Training compute in petaFLOP/s-days (6ND)."""
    device_hours: Annotated[float | None, POSITIVE] = None
    """Hours of one device, all devices together."""
    money: Annotated[float | None, POSITIVE] = None
    """US dollars, at `price` a device-hour or the catalogue's example."""
    devices: Annotated[int | None, Range(at_least=1, at_most=10**9)] = None
    """Devices; with days and nothing else, the budget; otherwise the number to use."""
    days: Annotated[float | None, POSITIVE] = None
    """With devices and nothing else, the budget; otherwise a deadline."""
    law: str = DEFAULT_LAW
    """A published law (hoffmann2022, besiroglu2024, kaplan2020, muennighoff2023), runs/NAME, or a fit's JSON file."""
    tokens: Annotated[float | None, TOKENS] = None
    """Fix the training tokens."""
    params: Annotated[float | None, PARAMS] = None
    """Fix the parameters (total)."""
    unique_tokens: Annotated[float | None, TOKENS] = None
    """Different tokens there are: beyond them data repeat, and are worth less (Muennighoff et al. 2023)."""
    inference_tokens: Annotated[float | None, Range(at_least=0, at_most=1e20)] = None
    """Tokens the model will serve: the compute budget then pays for training and serving (Sardana et al. 2024)."""
    model: ModelKeys = field(default_factory=ModelKeys)
    """A named model, whose tokens are then the answer; or vocabulary, context and kind of the decoder to plan, whose
    size is an answer as well."""
    write: str | None = None
    """Write the plan as experiment/NAME.yaml, which `scaling train --config-dir . experiment=NAME` runs; the plan is
    then one that it can run: without recomputation, by DDP or FSDP, in one machine."""
    corpus: str | None = None
    """Text of the written experiment: a file, folder or glob, hub:NAME, lexicon (endless, synthetic) or stdlib; by
    default stdlib, where it is large enough."""


@dataclass(kw_only=True)
class ServeKeys:
    """What is served, in which formats, to how many at once, and where."""

    model: ModelKeys = field(default_factory=ModelKeys)
    hardware: str = "a100-80gb"
    """A device of the catalogue, or a YAML file of your own device."""
    devices: Annotated[int, Range(at_least=1, at_most=10**9)] = 1
    """Devices that share the model by tensor parallelism."""
    weights: str = "bf16"
    """fp32, bf16, fp16, fp8, int8, int4 or nf4."""
    cache: str = "bf16"
    """Format of keys and values, of the same names."""
    sequences: Annotated[int, Range(at_least=1, at_most=10**9)] = 1
    """Sequences answered at once."""
    tokens: Annotated[int | None, TOKENS] = None
    """Tokens a sequence may hold, prompt and answer; by default the model's context."""


@dataclass(kw_only=True)
class FineTuneKeys:
    """What is fine-tuned, how, and where."""

    model: ModelKeys = field(default_factory=ModelKeys)
    method: str = "lora"
    """full (every weight), lora (adapters on frozen weights) or qlora (adapters on 4-bit weights)."""
    rank: Annotated[int, Range(at_least=1, at_most=10**6)] = 16
    """Rank of the adapters."""
    attention_only: bool = False
    """Adapters on queries and values only, as in the LoRA paper; by default on every projection."""
    weights: str | None = None
    """Format of the frozen weights: bf16, fp16, int8, int4, nf4; by default bf16 for lora, nf4 for qlora."""
    micro_batch: Annotated[int, Range(at_least=1, at_most=10**9)] = 1
    """Sequences at a time."""
    tokens: Annotated[int | None, TOKENS] = None
    """Tokens a sequence; by default the model's context."""
    optimizer: str = "adamw"
    """adamw, adamw_8bit, sgd, sgd_momentum, muon or adafactor."""
    precision: str | None = None
    """bf16-true, bf16-mixed, 16-master …: of all weights under full, of the adapters otherwise. By default bf16-mixed
    for full and bf16-true for adapters."""
    recompute: str = "full"
    """What backward runs again: none, selective_ops or full."""
    hardware: str = "a100-80gb"
    """A device of the catalogue, or a YAML file of your own device."""
    devices: Annotated[int, Range(at_least=1, at_most=10**9)] = 1
    """Devices; several shard everything (ZeRO-3)."""


@dataclass(kw_only=True)
class VerifyKeys:
    """One training step of this project's decoder on one device."""

    model: ModelKeys = field(default_factory=ModelKeys)
    precision: str = "32-true"
    """32-true, bf16-mixed or bf16-true."""
    optimizer: str = "adamw"
    """adamw, muon, sgd or sgd_momentum."""
    recompute: str = "none"
    """none, selective_ops or full."""
    micro_batch: Annotated[int, Range(at_least=1, at_most=10**9)] = 1
    """Sequences computed at a time."""
    accumulation: Annotated[int, Range(at_least=1, at_most=10**9)] = 1
    """Micro-batches a step."""


SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
"""What a letter after a number multiplies it by, in either case."""
_NUMBER_WITH_SUFFIX = re.compile(r"^([0-9]*\.?[0-9]+)([kKmMbBtT])$")


def parse_keys(words: list[str], schema: type[Schema]) -> Schema:
    """`key=value` words → keys, with two conveniences: `model=NAME`, and 7B or 2T for a number.

    Raises UserError: one line with key, value and remedy.
    """
    numeric = {key.name for key in keys_of(schema()) if "float" in key.hint or "int" in key.hint}
    expanded = []
    for word in words:
        name, equals, value = word.partition("=")
        if name == "model" and equals:
            name = "model.name"
        number = _NUMBER_WITH_SUFFIX.match(value)
        if number and name in numeric:
            value = repr(float(number[1]) * SUFFIXES[number[2].lower()])
        expanded.append(f"{name}{equals}{value}")
    return parse(expanded, schema)


@dataclass(frozen=True)
class Key:
    """One key of a question, with the value that it has in an instance of the question's keys."""

    name: str
    """As the user writes it: nested ones are dotted, as model.width."""
    schema: type
    """The dataclass that declares it."""
    hint: str
    """Its type, as it is declared."""
    value: object


def keys_of(keys: object) -> Iterator[Key]:
    """Every key of a dataclass of keys and of the dataclasses in it, in the order of their declaration."""
    assert is_dataclass(keys)
    for item in fields(keys):
        value = getattr(keys, item.name)
        if is_dataclass(value):
            for inner in keys_of(value):
                yield replace(inner, name=f"{item.name}.{inner.name}")
        else:
            yield Key(item.name, type(keys), str(item.type), value)
