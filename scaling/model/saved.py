"""A trained model as a file in its run's folder, with all that it takes to use it.

The file is in the safetensors format, which any of its readers opens and which holds no code. Its header's metadata has
one entry, JSON with the decoder's shape, the rotary base, the tokenizer's definition and a checksum of the file.
Earlier versions wrote `model.pt`, in PyTorch's format, which is still read.
"""

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from scaling.corpus.tokenizer import Tokenizer, from_definition
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.records.files import Damaged, seal_label
from scaling.records.folder import MODEL, OLD_MODEL
from scaling.shape.shape import ModelShape

_OLD_LABEL = "model"
"""What the seal of a `model.pt` says that the file is."""
_METADATA_KEY = "scaling_simulator"
"""One entry, since safetensors writes several in an order that differs from process to process."""
_NO_CHECKSUM = "0" * 64
"""Stands in the place of the file's SHA-256 while that is computed."""


@dataclass(frozen=True)
class TrainedModel:
    """A decoder and the tokenizer that it was trained with."""

    model: Decoder
    tokenizer: Tokenizer


def to_bytes(model: Decoder, weights: dict[str, Tensor], tokenizer_definition: str) -> bytes:
    """The content of a model's file.

    Args:
        model: tells shape and rotary base.
        weights: the model's `state_dict`, or what was gathered of a sharded one.
        tokenizer_definition: see `scaling.corpus.tokenizer.from_definition`.
    """
    metadata = {
        "sha256": _NO_CHECKSUM,  # first, so that no other digits of the file can be taken for it
        "shape": model.shape.to_json(),
        "rope_base": model.rope_base,
        "tokenizer": tokenizer_definition,
    }
    # The format stores no tensor twice: a tied head is the embedding.
    tensors = {
        name: tensor.contiguous()
        for name, tensor in weights.items()
        if not (name == "head.weight" and model.shape.tied_head)
    }
    content = safetensors.torch.save(tensors, {_METADATA_KEY: json.dumps(metadata)})
    return content.replace(_NO_CHECKSUM.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def load(folder: Path) -> TrainedModel:
    """The model of a run, in evaluation mode on the CPU; nothing in the file is executed.

    Args:
        folder: a run's folder, or a job's folder that holds the model of one run.

    Raises:
        UserError: one line, when there is no model, more than one, or the file is damaged.
    """
    path = find(folder)
    try:
        facts, weights = _read_old(path) if path.name == OLD_MODEL else _read(path)
        model = Decoder(ModelShape(**facts["shape"]), float(facts["rope_base"]))
        model.load_state_dict(weights)
        definition = str(facts["tokenizer"])
    except Damaged:
        raise
    except (
        RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: not a whole model of this version ({type(error).__name__}: {reason}); train the run again"
        ) from error
    try:
        return TrainedModel(model.eval(), from_definition(definition, model.shape.vocab_size))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def find(folder: Path) -> Path:
    """The file of the one model in a run's folder, or in the folders below it."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a trained run (runs/NAME/RUN)")
    for name in (MODEL, OLD_MODEL):
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for name in (MODEL, OLD_MODEL) for path in folder.glob(f"**/{name}"))
    if not found:
        raise UserError(f"{folder}: holds no {MODEL}; train with trainer.save_model=true to keep the weights")
    if len(found) > 1:
        names = ", ".join(str(path.parent) for path in found[:5]) + (", …" if len(found) > 5 else "")
        raise UserError(f"{folder}: holds {len(found)} models; choose one of {names}")
    return found[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and weights of a file in the safetensors format, once its checksum is right."""
    content = path.read_bytes()
    try:
        header_bytes = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + header_bytes])
        metadata: dict[str, Any] = json.loads(header["__metadata__"][_METADATA_KEY])
        checksum = str(metadata["sha256"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: truncated, or not a model of this program (it has no checksum)") from error
    unsigned = content.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1)
    if hashlib.sha256(unsigned).hexdigest() != checksum:
        raise Damaged(f"{path}: damaged (its checksum does not match)")
    weights = safetensors.torch.load(content)
    if metadata["shape"]["tied_head"]:
        weights["head.weight"] = weights["embedding.weight"]
    return metadata, weights


def _read_old(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and weights of a `model.pt`, once its seal is right."""
    if seal_label(path) != _OLD_LABEL:
        raise Damaged(f"{path}: not a model; give the folder of a trained run")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content, content["model"]
