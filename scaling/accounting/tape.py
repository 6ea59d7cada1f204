"""A block's operations and the life of every tensor between them, forward and backward.

Reverse-mode differentiation keeps what an operation's derivative needs until its backward has run. Given a list
of operations with the bytes they make and keep, this file finds the bytes alive at every instant. It knows
nothing of transformers; `activations.py` writes the lists.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation: what it reads, makes and keeps, in bytes a device."""

    name: str
    component: str
    reads: tuple[str, ...] = ()
    """Tensors with a gradient that it reads."""
    makes: Mapping[str, float] = field(default_factory=dict)
    """New tensors and their bytes; their gradients have the same size."""
    keeps: tuple[str, ...] = ()
    """Tensors (read or made) that its backward needs."""
    holds: tuple[str, ...] = ()
    """Tensors that the program still names while it runs, so that forward cannot release them earlier."""
    extra: float = 0
    """Kept bytes that have no name of their own: statistics, masks, casts of inputs."""
    weight_gradient: float = 0
    """Bytes of its weights' gradients."""
    cast_gradient: float = 0
    """Bytes of the 16-bit gradient of its cast weights. Autograd casts it to `weight_gradient` right after the product
    has handed on its gradients and released what it kept."""
    forward_workspace: float = 0
    """Further bytes alive while it runs, released at once."""
    backward_workspace: float = 0
    passes_gradient: bool = False
    """Backward hands the gradient on as it is (a sum)."""
    core: bool = False
    """Part of the attention core that selective recomputation runs again (Korthikanti et al. 2022)."""
    stored_by_policy: bool = False
    """Its outputs are what the `selective_ops` policy stores instead of running the operation again."""


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Bytes of one pass forward and backward through a list of operations, its input and output included."""

    kept: Mapping[str, float]
    """Bytes kept between forward and backward, by component."""
    forward_peak: float
    """Largest total while running forward."""
    backward_peak: float
    """Largest total while running backward, what is kept and the weights' gradients included."""
    backward_component: str
    """Component whose backward reaches that peak."""
    weight_gradients: float

    @property
    def kept_bytes(self) -> float:
        return sum(self.kept.values())


def run(
    ops: Sequence[Op],
    inputs: Mapping[str, float],
    *,
    output: str,
    recompute: str = "none",
    fresh_gradients: bool = True,
) -> Passes:
    """Follow every tensor through `ops` forward and backward.

    `inputs` are the bytes of tensors made elsewhere, `output` the tensor whose gradient starts backward. `recompute`
    is none, selective (the `core` runs again), selective_ops (all but `stored_by_policy` runs again) or full (all
    runs again from the inputs). With `fresh_gradients` the gradients of weights stay as they are made; otherwise
    they are added to older ones and released.
    """
    sizes = dict(inputs)
    component_of = dict.fromkeys(inputs, "residual")
    for op in ops:
        sizes.update(op.makes)
        component_of.update(dict.fromkeys(op.makes, op.component))
    everything_kept = {name for op in ops for name in op.keeps}
    extras = {op.name: op.extra for op in ops}
    if recompute == "full":
        stored, stored_extras = set(inputs), set()
    elif recompute == "selective_ops":
        stored = set(inputs) | {name for op in ops if op.stored_by_policy for name in op.makes}
        stored_extras = {op.name for op in ops if op.stored_by_policy and op.core}
    elif recompute == "selective":
        outside = {name for op in ops if not op.core for name in op.keeps} | set(inputs)
        made_by_core = {name for op in ops if op.core for name in op.makes}
        stored = {name for name in everything_kept if name in outside or name not in made_by_core}
        stored_extras = {op.name for op in ops if not op.core}
    else:
        stored, stored_extras = everything_kept, set(extras)

    kept: dict[str, float] = {}
    for name in stored:
        kept[component_of[name]] = kept.get(component_of[name], 0) + sizes[name]
    for op in ops:
        if op.name in stored_extras:
            kept[op.component] = kept.get(op.component, 0) + op.extra

    forward_peak = _forward_peak(ops, inputs, sizes, keep=stored, keep_extras=stored_extras, output=output)
    again_peak = 0.0
    if recompute in ("full", "selective_ops"):
        # The gradient of the output waits while the forward runs again.
        held = sum(sizes[name] for name in stored if name not in everything_kept and name not in inputs)
        again_peak = (
            held
            + sizes[output]
            + _forward_peak(ops, inputs, sizes, keep=everything_kept, keep_extras=set(extras), output=output)
        )
    # What is stored only to be handed out again is released by then; a block's input is held to the end.
    held_to_the_end = set(inputs) if recompute in ("full", "selective_ops") else set()
    if recompute == "selective_ops":
        # Running again stops at the last tensor that backward needs, before what was stored beyond it is handed out.
        last = max(index for index, op in enumerate(ops) if op.keeps or op.extra)
        held_to_the_end |= {name for op in ops[last:] if op.stored_by_policy for name in op.makes}
    backward_peak, component, gradients = _backward_peak(
        ops,
        sizes,
        output,
        kept_names=everything_kept | held_to_the_end,
        inputs=inputs,
        lazy_core=recompute == "selective",
        fresh_gradients=fresh_gradients,
    )
    if again_peak > backward_peak:
        backward_peak, component = again_peak, "recomputation"
    return Passes(
        kept=kept,
        forward_peak=forward_peak,
        backward_peak=backward_peak,
        backward_component=component,
        weight_gradients=gradients,
    )


def _forward_peak(
    ops: Sequence[Op],
    inputs: Mapping[str, float],
    sizes: Mapping[str, float],
    *,
    keep: set[str],
    keep_extras: set[str],
    output: str,
) -> float:
    last_read = {name: index for index, op in enumerate(ops) for name in op.reads + op.holds}
    alive, live, peak = set(inputs), float(sum(inputs.values())), float(sum(inputs.values()))
    for index, op in enumerate(ops):
        live += sum(op.makes.values())
        alive |= set(op.makes)
        peak = max(peak, live + op.extra + op.forward_workspace)
        if op.name in keep_extras:
            live += op.extra
        for name in [n for n in alive if last_read.get(n, -1) <= index and n not in keep and n != output]:
            alive.discard(name)
            live -= sizes[name]
    return peak


def _backward_peak(
    ops: Sequence[Op],
    sizes: Mapping[str, float],
    output: str,
    *,
    kept_names: set[str],
    inputs: Mapping[str, float],
    lazy_core: bool,
    fresh_gradients: bool,
) -> tuple[float, str, float]:
    core_only: set[str] = set()
    if lazy_core:
        outside = {name for op in ops if not op.core for name in op.keeps} | set(inputs)
        core_only = {name for op in ops if op.core for name in op.makes if name not in outside} & kept_names
    keepers = Counter(name for op in ops for name in op.keeps)
    live = sum(sizes[name] for name in kept_names - core_only)
    live += sum(op.extra for op in ops if not (lazy_core and op.core))
    core_pending = lazy_core
    storage = {output: output}  # the tensor whose bytes hold each gradient
    held = {output: 1}
    live += sizes[output]
    peak, component, gradients = live, ops[-1].component, 0.0
    for op in reversed(ops):
        if core_pending and op.core:
            core_pending = False
            live += sum(sizes[name] for name in core_only) + sum(o.extra for o in ops if o.core)
        incoming = [storage.pop(name) for name in op.makes if name in storage]
        transient = op.backward_workspace
        if op.passes_gradient:
            arriving = dict.fromkeys(op.reads, incoming[0])
            held[incoming[0]] += len(op.reads)
        else:
            arriving = {name: f"{name}<{op.name}" for name in op.reads}
            for name, place in arriving.items():
                held[place] = 1
                live += sizes[name]
        if fresh_gradients:
            live += op.weight_gradient
            gradients += op.weight_gradient
        else:
            transient += op.weight_gradient
        cast_weight = op.weight_gradient if op.cast_gradient else 0.0
        top = live + transient - cast_weight + op.cast_gradient
        for place in incoming:
            held[place] -= 1
            if not held[place]:
                live -= sizes[place.partition("<")[0]]
        live -= op.extra
        for name in op.keeps:
            keepers[name] -= 1
            if not keepers[name]:
                live -= sizes[name]
        if cast_weight:
            top = max(top, live + transient + op.cast_gradient)
        if top > peak:
            peak, component = top, op.component
        for name, place in arriving.items():
            if name not in storage:
                storage[name] = place
                continue
            # A second gradient of the same tensor: their sum is a new tensor.
            total = f"{name}<+{op.name}"
            live += sizes[name]
            peak, component = (live, op.component) if live > peak else (peak, component)
            for old in (storage[name], place):
                held[old] -= 1
                if not held[old]:
                    live -= sizes[old.partition("<")[0]]
            storage[name], held[total] = total, 1
    return peak, component, gradients
