"""The keys of `scaling budget`: what a user may give, with unit and meaning, and what they build.

`parse_budget(["model=llama-2-7b", "tokens=2T"])` gives typed keys; `build_shape` and `build_layout` turn them into the
objects of `scaling.accounting`. The text under a field is its help.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, is_dataclass, replace
from math import isfinite
from typing import Any, TypeVar

from scaling.accounting.cost import CARBON_KG_PER_KWH, GOODPUT, POWER_USAGE_EFFECTIVENESS, REALISED
from scaling.accounting.layout import Layout
from scaling.budget.layout_search import accumulation_for
from scaling.config.overrides import field_help, parse
from scaling.errors import UserError
from scaling.shape.ladder import head_width
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape, decoder_shape
from scaling.shape.sizing import shape_of_size

T = TypeVar("T")

VOCAB_SIZE = 50_257
"""Vocabulary of a model described by its width and depth alone: GPT-2's tokens."""
CONTEXT = 1024
"""Its training context."""


@dataclass(kw_only=True)
class ModelKeys:
    """A published model by name, a size for the ladder, or a shape; a shape's keys also change a named model."""

    name: str | None = None
    """A published model: gpt2, llama-2-7b, gpt3-175b, mixtral-8x7b … (model=NAME is short for model.name=NAME)."""
    params: float | None = None
    """Total parameters to aim at; the ladder then chooses the shape."""
    width: int | None = None
    """Residual stream width (d_model)."""
    depth: int | None = None
    """Number of blocks."""
    heads: int | None = None
    """Query heads; by default width over the ladder's head width."""
    kv_heads: int | None = None
    """Key/value heads (grouped-query attention); by default as many as query heads."""
    head_width: int | None = None
    """Features a head; by default width / heads."""
    ffn_width: int | None = None
    """Hidden width of the feed-forward; by default 8/3 width for swiglu, 4 width for gelu."""
    ffn: str | None = None
    """swiglu (three matrices) or gelu (two)."""
    vocab_size: int | None = None
    """Rows of the embedding; by default 50257."""
    context: int | None = None
    """Tokens a sequence; by default 1024."""
    tied_head: bool | None = None
    """Whether the head shares the embedding's matrix; by default yes."""
    qk_norm: bool | None = None
    """Whether queries and keys are normalised a head; by default yes."""
    experts: int | None = None
    """Routed experts a block (mixture of experts)."""
    experts_active: int | None = None
    """Routed experts a token visits."""
    shared_experts: int | None = None
    """Experts that every token visits."""
    expert_width: int | None = None
    """Hidden width of one expert."""


@dataclass(kw_only=True)
class LayoutKeys:
    """How the job is spread over devices; leave all of it out to have the fastest layout that fits."""

    data: int | None = None
    """Data-parallel replicas; by default what `devices` leaves."""
    zero_stage: int | None = None
    """ZeRO stage: 1 shards optimizer states, 2 gradients too, 3 weights too (FSDP)."""
    zero_group: int | None = None
    """Devices that share one copy of what ZeRO-3 shards (hybrid sharding); by default all replicas."""
    tensor: int | None = None
    """Tensor-parallel degree."""
    sequence: bool | None = None
    """Sequence parallelism beside tensor parallelism; by default on where tensor > 1."""
    pipeline: int | None = None
    """Pipeline stages."""
    interleave: int | None = None
    """Virtual stages a pipeline device."""
    context: int | None = None
    """Context-parallel degree."""
    expert: int | None = None
    """Expert-parallel degree."""
    micro_batch: int | None = None
    """Sequences a replica computes at a time."""
    accumulation: int | None = None
    """Micro-batches a replica computes before a step; by default what batch_tokens needs."""


@dataclass(kw_only=True)
class RecipeKeys:
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
    batch_tokens: float | None = None
    """Tokens an optimizer step; by default a published rule of the run's FLOPs."""
    price: float | None = None
    """US dollars a device-hour; by default the catalogue's dated example."""
    goodput: float = GOODPUT
    """Share of wall-clock time spent in steps."""
    realised: float = REALISED
    """Speed of your run over that of well-tuned code, which the step time is."""
    pue: float = POWER_USAGE_EFFECTIVENESS
    """Power usage effectiveness: energy of the site over that of its devices."""
    carbon_kg_per_kwh: float = CARBON_KG_PER_KWH
    """Carbon intensity of the grid."""
    measured_tokens_per_second: float | None = None
    """Speed you measured for this very job, all devices together: replaces the estimated one (and realised)."""
    measured_run: str | None = None
    """Folder of your own runs (runs/NAME) on this hardware: the run nearest in size says how your speed compares with
    the estimate (in place of realised)."""


@dataclass(kw_only=True)
class BudgetKeys(RecipeKeys):
    """From a model, a recipe and hardware to parameters, FLOPs, memory, time, money and energy."""

    model: ModelKeys = field(default_factory=ModelKeys)
    tokens: float | None = None
    """Training tokens; by default 20 a parameter."""
    devices: int | None = None
    """Devices; by default one, or those that `layout` names."""
    days: float | None = None
    """Deadline: takes the fewest devices (a power of two) that meet it."""
    layout: LayoutKeys = field(default_factory=LayoutKeys)


SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_HUMAN_NUMBER = re.compile(r"^([0-9]*\.?[0-9]+)([kKmMbBtT])$")


def parse_keys(words: list[str], schema: type[T]) -> T:
    """`key=value` words → keys, with two conveniences: `model=NAME`, and 7B or 2T for a number.

    Raises UserError: one line with key, value and remedy.
    """
    numeric = {name for name, hint in _flat_types(schema) if "float" in hint}
    expanded = []
    for word in words:
        key, equals, value = word.partition("=")
        if key == "model" and equals:
            key = "model.name"
        human = _HUMAN_NUMBER.match(value)
        if human and key in numeric:
            value = repr(float(human[1]) * SUFFIXES[human[2].lower()])
        expanded.append(f"{key}{equals}{value}")
    keys = parse(expanded, schema)
    _refuse_infinite(keys)
    return keys


def _refuse_infinite(keys: object, prefix: str = "") -> None:
    for item in fields(keys):  # type: ignore[arg-type]
        value = getattr(keys, item.name)
        if is_dataclass(value):
            _refuse_infinite(value, f"{prefix}{item.name}.")
        elif isinstance(value, float) and not isfinite(value):
            raise UserError(f"{prefix}{item.name}={value:g} must be a positive, finite number")


def build_shape(keys: ModelKeys) -> ModelShape:
    """The shape that the model keys describe. Raises UserError naming what is missing or does not divide."""
    shape_keys = [f.name for f in fields(ModelKeys) if f.name not in ("name", "params")]
    given: dict[str, Any] = {
        name: getattr(keys, name) for name in shape_keys if getattr(keys, name) is not None
    }
    if keys.name is not None:
        if keys.params is not None:
            raise UserError(
                f"model={keys.name} and model.params={keys.params:g} exclude each other: give one"
            )
        shape = published_shape(keys.name)
        if ("width" in given or "heads" in given) and "head_width" not in given:
            width, heads = given.get("width", shape.width), given.get("heads", shape.heads)
            _require_divides(width, heads)
            given["head_width"] = width // heads
        if "heads" in given and "kv_heads" not in given and shape.kv_heads == shape.heads:
            given["kv_heads"] = given["heads"]
        return replace(shape, **given)
    common = {
        "vocab_size": given.pop("vocab_size", VOCAB_SIZE),
        "context": given.pop("context", CONTEXT),
        "ffn": given.pop("ffn", "swiglu"),
        "tied_head": given.pop("tied_head", True),
        "qk_norm": given.pop("qk_norm", True),
    }
    if keys.params is not None:
        if not keys.params > 0:
            raise UserError(f"model.params={keys.params:g} must be positive")
        if given:
            raise UserError(
                f"model.params lets the ladder choose the shape: leave out {', '.join(f'model.{k}' for k in given)}"
            )
        like = ModelShape(width=64, depth=2, heads=1, kv_heads=1, head_width=64, ffn_width=64, **common)
        return shape_of_size(keys.params, like)
    missing = [name for name in ("width", "depth") if name not in given]
    if missing:
        raise UserError(
            f"which model? missing {' and '.join(f'model.{k}' for k in missing)}; give model=NAME "
            "(as model=llama-2-7b), model.params=…, or model.width=… model.depth=…"
        )
    width = given["width"]
    if width < 1:
        raise UserError(f"model.width={width} must be a positive whole number")
    given.setdefault("heads", max(1, width // given.get("head_width", head_width(width))))
    experts = {
        k: given.pop(k) for k in ("experts", "experts_active", "shared_experts", "expert_width") if k in given
    }
    shape = decoder_shape(**given, **common)
    return replace(shape, **experts) if experts else shape


def layout_is_given(keys: LayoutKeys) -> bool:
    """Whether the user named any part of the layout."""
    return any(getattr(keys, f.name) is not None for f in fields(LayoutKeys))


def build_layout(keys: LayoutKeys, shape: ModelShape, devices: int | None, batch_tokens: float) -> Layout:
    """A layout as given, its gaps filled: data from `devices`, accumulation from `batch_tokens`.

    Raises UserError when the degrees do not multiply to `devices`.
    """
    given: dict[str, Any] = {
        f.name: getattr(keys, f.name) for f in fields(LayoutKeys) if getattr(keys, f.name) is not None
    }
    given.setdefault("sequence", given.get("tensor", 1) > 1)
    model_parallel = given.get("tensor", 1) * given.get("pipeline", 1) * given.get("context", 1)
    if devices is not None and "data" not in given and model_parallel > 0:
        if devices < 1 or devices % model_parallel:
            raise UserError(
                f"devices={devices} is not a multiple of tensor x pipeline x context = {model_parallel}: "
                f"give devices={max(1, round(devices / model_parallel)) * model_parallel} or other degrees"
            )
        given["data"] = devices // model_parallel
    layout = Layout(**given)
    if devices is not None and layout.devices != devices:
        raise UserError(
            f"the layout {layout} takes {layout.devices} devices, but devices={devices}: leave one of them out"
        )
    if "accumulation" in given:
        return layout
    return replace(
        layout, accumulation=accumulation_for(shape, layout.data, layout.micro_batch, batch_tokens)
    )


def help_rows(schema: type, prefix: str = "") -> list[tuple[str, str, str]]:
    """(key, default, help) of every key, nested ones dotted."""
    rows: list[tuple[str, str, str]] = []
    texts = field_help(schema)
    default = schema()
    for item in fields(schema):
        value = getattr(default, item.name)
        if is_dataclass(value):
            rows += help_rows(type(value), f"{prefix}{item.name}.")
        else:
            shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            rows.append((f"{prefix}{item.name}", shown, texts[item.name]))
    return rows


def _flat_types(schema: type, prefix: str = "") -> list[tuple[str, str]]:
    default = schema()
    rows: list[tuple[str, str]] = []
    for item in fields(schema):
        value = getattr(default, item.name)
        if is_dataclass(value):
            rows += _flat_types(type(value), f"{prefix}{item.name}.")
        else:
            rows.append((f"{prefix}{item.name}", str(item.type)))
    return rows


def _require_divides(width: int, heads: int) -> None:
    if heads < 1 or width % heads:
        raise UserError(
            f"model.heads={heads} does not divide model.width={width}: change one, or give model.head_width"
        )
