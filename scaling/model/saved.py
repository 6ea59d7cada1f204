"""`model.pt`: a trained model with all that it takes to use it, written into a run's folder and read back."""

import pickle
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from scaling.corpus.tokenizer import Tokenizer, from_definition
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.records.files import seal_label, sealed
from scaling.records.folder import MODEL
from scaling.shape.shape import ModelShape

_LABEL = "model"


@dataclass(frozen=True)
class Trained:
    """A decoder and the tokenizer that it was trained with."""

    model: Decoder
    tokenizer: Tokenizer


def to_bytes(model: Decoder, weights: dict[str, Any], tokenizer_definition: str) -> bytes:
    """The content of `model.pt`: shape, rotary base, tokenizer and weights, as plain values and tensors; sealed.

    `weights`: the model's `state_dict`, or what was gathered of a sharded one.
    """
    buffer = BytesIO()
    content = {
        "shape": asdict(model.shape),
        "rope_base": model.rope_base,
        "tokenizer": tokenizer_definition,
        "model": weights,
    }
    torch.save(content, buffer)
    return sealed(buffer.getvalue(), _LABEL)


def load(folder: Path) -> Trained:
    """The model of a run, in evaluation mode on the CPU; nothing in the file is executed.

    Args:
        folder: a run's folder, or a job's folder that holds the model of one run.

    Raises:
        UserError: one line, when there is no model, more than one, or the file is damaged.
    """
    path = find(folder)
    if seal_label(path) != _LABEL:
        raise UserError(f"{path}: not a model; give the folder of a trained run")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        model = Decoder(ModelShape(**content["shape"]), content["rope_base"])
        model.load_state_dict(content["model"])
        definition = str(content["tokenizer"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: not a whole model of this version ({type(error).__name__}: {reason}); train the run again"
        ) from error
    try:
        return Trained(model.eval(), from_definition(definition, model.shape.vocab_size))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def find(folder: Path) -> Path:
    """The one `model.pt` in a run's folder, or in the folders just below it."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a trained run (runs/NAME/RUN)")
    if (folder / MODEL).is_file():
        return folder / MODEL
    found = sorted(folder.glob(f"**/{MODEL}"))
    if not found:
        raise UserError(f"{folder}: holds no {MODEL}; train with trainer.save_model=true to keep the weights")
    if len(found) > 1:
        names = ", ".join(str(path.parent) for path in found[:5]) + (", …" if len(found) > 5 else "")
        raise UserError(f"{folder}: holds {len(found)} models; choose one of {names}")
    return found[0]
