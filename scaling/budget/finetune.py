"""Memory of full fine-tuning, of LoRA adapters and of adapters on 4-bit weights (QLoRA)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from scaling.accounting.adapters import lora_memory
from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.inference import WeightFormat
from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import Optimizer, Precision, TrainingRecipe
from scaling.accounting.room import Room, room_for, usable_bytes
from scaling.budget.keys import FineTuneKeys
from scaling.budget.setup import build_shape
from scaling.errors import UserError
from scaling.shape.flops import Recompute
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape

Method = Literal["full", "lora", "qlora"]
USUAL_WEIGHTS: dict[str, WeightFormat] = {"lora": "bf16", "qlora": "nf4"}


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Memory of fine-tuning on the device that needs most."""

    shape: ModelShape
    device: Device
    keys: FineTuneKeys
    trained_params: int
    components: dict[str, float]
    """Bytes by component; they add up to the peak."""

    @property
    def peak_memory_bytes(self) -> float:
        return sum(self.components.values())

    @property
    def fits(self) -> bool:
        return self.room == "fits"

    @property
    def room(self) -> Room:
        """Whether the peak fits, or only just, or not."""
        return room_for(self.peak_memory_bytes, self.device)

    def to_json(self) -> dict[str, object]:
        """Every figure under a name with its unit, for programs."""
        counts = count_params(self.shape)
        return {
            "params_total": counts.total,
            "params_non_embedding": counts.non_embedding,
            "params_trained": self.trained_params,
            "method": self.keys.method,
            "hardware": self.device.name,
            "devices": self.keys.devices,
            "peak_memory_bytes": self.peak_memory_bytes,
            "memory_bytes_by_component": self.components,
            "device_memory_bytes": self.device.memory_bytes,
            "usable_memory_bytes": usable_bytes(self.device),
            "fits": self.fits,
            "tight": self.room == "tight",
        }


def fine_tuning(keys: FineTuneKeys) -> FineTuning:
    """What `scaling budget finetune` prints. Raises UserError, in one line, naming key, value and remedy."""
    shape = build_shape(keys.model)
    _check(keys, shape)
    if keys.tokens is not None:
        shape = replace(shape, context=keys.tokens)
    usual: Precision = "bf16-mixed" if keys.method == "full" else "bf16-true"
    recipe = TrainingRecipe(  # which refuses what is none of its choices
        optimizer=cast(Optimizer, keys.optimizer),
        precision=cast(Precision, keys.precision or usual),
        recompute=cast(Recompute, keys.recompute),
    )
    layout = Layout(data=keys.devices, zero_stage=3 if keys.devices > 1 else 0, micro_batch=keys.micro_batch)
    device = get_device(keys.hardware)
    if keys.method == "full":
        if keys.weights is not None:
            raise UserError(
                f"weights={keys.weights}: full fine-tuning trains every weight in precision=…; use method=qlora "
                "for weights in few bits"
            )
        memory = training_memory(shape, recipe, layout)
        trained_params = count_params(shape).total
        components = {**memory.binding.components, "allocator_slack": memory.allocator_slack_bytes}
    else:
        adapters = lora_memory(
            shape, recipe, layout,
            rank=keys.rank,
            weights=cast(WeightFormat, keys.weights or USUAL_WEIGHTS[keys.method]),
            attention_only=keys.attention_only,
        )  # fmt: skip
        trained_params = adapters.adapter_params
        components = {
            "frozen_weights": adapters.frozen_weights,
            "adapter_states": adapters.adapter_states,
            "activations": adapters.activations,
            "dequantised_matrix": adapters.dequantised,
            "allocator_slack": adapters.allocator_slack_bytes,
        }
    return FineTuning(
        shape=shape, device=device, keys=keys, trained_params=trained_params, components=components
    )


def _check(keys: FineTuneKeys, shape: ModelShape) -> None:
    """Raises UserError for a key whose value cannot be used."""
    if shape.encoder_depth:
        raise UserError(
            f"model={keys.model.name}: activations of encoder-decoders are not modelled; take a decoder-only model"
        )
    for name in ("micro_batch", "devices", "rank"):
        if getattr(keys, name) < 1:
            raise UserError(f"{name}={getattr(keys, name)} must be a positive whole number")
    for name, choices in (("method", get_args(Method)), ("recompute", get_args(Recompute))):
        if getattr(keys, name) not in choices:
            raise UserError(f"{name}={getattr(keys, name)} is unknown: choose one of {', '.join(choices)}")
    if keys.tokens is not None and keys.tokens < 1:
        raise UserError(f"tokens={keys.tokens} must be a positive whole number: tokens a sequence")
