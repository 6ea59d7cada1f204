"""`scaling budget serve`: memory and speed of a model that answers, by storage format of weights and cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.inference import (
    InferenceMemory,
    WeightFormat,
    inference_memory,
    kv_cache_bytes_per_token,
)
from scaling.accounting.serving import ServingTime, serving_time
from scaling.budget.keys import ModelKeys, build_shape
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape


@dataclass(kw_only=True)
class ServeKeys:
    """What is served, in which formats, to how many at once, and where."""

    model: ModelKeys = field(default_factory=ModelKeys)
    hardware: str = "a100-80gb"
    """A device of the catalogue, or a YAML file of your own device."""
    devices: int = 1
    """Devices that share the model by tensor parallelism."""
    weights: str = "bf16"
    """fp32, bf16, fp16, fp8, int8, int4 or nf4."""
    cache: str = "bf16"
    """Format of keys and values, of the same names."""
    sequences: int = 1
    """Sequences answered at once."""
    tokens: int | None = None
    """Tokens a sequence may hold, prompt and answer; by default the model's context."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What serving takes on each device, and how fast it is."""

    shape: ModelShape
    device: Device
    keys: ServeKeys
    tokens: int
    memory: InferenceMemory
    time: ServingTime

    @property
    def fits(self) -> bool:
        return self.memory.peak_memory_bytes <= self.device.memory_bytes

    @property
    def cache_bytes_per_token(self) -> float:
        """Of one sequence, on all devices together."""
        return kv_cache_bytes_per_token(self.shape, cast(WeightFormat, self.keys.cache))

    @property
    def most_sequences(self) -> int:
        """Sequences of this length that fit at once."""
        each = (self.memory.kv_cache + self.memory.logits) / self.keys.sequences
        room = self.device.memory_bytes - self.memory.weights - self.memory.activations
        return max(0, int(room / each))

    def to_json(self) -> dict[str, Any]:
        """Every figure under a name with its unit, for programs."""
        counts = count_params(self.shape)
        return {
            "params_total": counts.total,
            "params_non_embedding": counts.non_embedding,
            "params_active": counts.active,
            "hardware": self.device.name,
            "devices": self.keys.devices,
            "weights": self.keys.weights,
            "cache": self.keys.cache,
            "sequences": self.keys.sequences,
            "tokens": self.tokens,
            "weight_bytes": self.memory.weights,
            "kv_cache_bytes": self.memory.kv_cache,
            "kv_cache_bytes_per_token": self.cache_bytes_per_token,
            "activation_bytes": self.memory.activations,
            "logit_bytes": self.memory.logits,
            "peak_memory_bytes": self.memory.peak_memory_bytes,
            "device_memory_bytes": self.device.memory_bytes,
            "fits": self.fits,
            "most_sequences": self.most_sequences,
            "prefill_seconds": self.time.prefill_seconds,
            "decode_seconds_per_token": self.time.decode_seconds,
            "tokens_per_second": self.time.tokens_per_second,
        }


def serve(keys: ServeKeys) -> Serving:
    """What `scaling budget serve` prints. Raises UserError, in one line, naming key, value and remedy."""
    shape = build_shape(keys.model)
    if shape.encoder_depth:
        raise UserError(
            f"model={keys.model.name}: serving an encoder-decoder is not modelled; take a decoder-only model"
        )
    device = get_device(keys.hardware)
    tokens = shape.context if keys.tokens is None else keys.tokens
    if keys.devices < 1:
        raise UserError(f"devices={keys.devices} must be at least 1")
    if shape.heads % keys.devices:
        raise UserError(
            f"devices={keys.devices} does not divide the {shape.heads} heads that tensor parallelism splits: "
            "take a power of two"
        )
    formats: dict[str, WeightFormat] = {
        "weights": cast(WeightFormat, keys.weights),
        "cache": cast(WeightFormat, keys.cache),
    }
    memory = inference_memory(shape, sequences=keys.sequences, tokens=tokens, tensor=keys.devices, **formats)
    time = serving_time(
        shape, device, sequences=keys.sequences, tokens=tokens, tensor=keys.devices, **formats
    )
    return Serving(shape=shape, device=device, keys=keys, tokens=tokens, memory=memory, time=time)
