"""Memory and speed of a model that answers, by storage format of weights and cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.inference import (
    InferenceMemory,
    WeightFormat,
    inference_memory,
    kv_cache_bytes,
)
from scaling.accounting.room import RESERVE, Room, room_for, usable_bytes
from scaling.accounting.serving import ServingTime, serving_time
from scaling.budget.keys import ServeKeys
from scaling.budget.setup import build_shape
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape


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
        return self.room == "fits"

    @property
    def room(self) -> Room:
        """Whether the peak fits, or only just, or not."""
        return room_for(self.memory.peak_memory_bytes, self.device)

    @property
    def cache_bytes_per_token(self) -> float:
        """Of one sequence of this length, windows and states included, a token, on all devices together."""
        return kv_cache_bytes(self.shape, self.tokens, cast(WeightFormat, self.keys.cache)) / self.tokens

    @property
    def most_sequences(self) -> int:
        """Sequences of this length that fit at once."""
        each = (self.memory.kv_cache + self.memory.logits) / self.keys.sequences
        room = usable_bytes(self.device) / (1 + RESERVE) - self.memory.weights - self.memory.activations
        return max(0, int(room / each))

    def to_json(self) -> dict[str, object]:
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
            "usable_memory_bytes": usable_bytes(self.device),
            "fits": self.fits,
            "tight": self.room == "tight",
            "most_sequences": self.most_sequences,
            "prefill_seconds": self.time.prefill_seconds,
            "decode_seconds_per_token": self.time.decode_seconds,
            "tokens_per_second": self.time.tokens_per_second,
        }


def serving(keys: ServeKeys) -> Serving:
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
    # Both estimates refuse a format that they do not know.
    weights, cache = cast(WeightFormat, keys.weights), cast(WeightFormat, keys.cache)
    memory = inference_memory(
        shape, sequences=keys.sequences, tokens=tokens, tensor=keys.devices, weights=weights, cache=cache
    )
    time = serving_time(
        shape,
        device,
        sequences=keys.sequences,
        tokens=tokens,
        tensor=keys.devices,
        weights=weights,
        cache=cache,
    )
    return Serving(shape=shape, device=device, keys=keys, tokens=tokens, memory=memory, time=time)
