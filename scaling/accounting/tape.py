"""The life of every tensor while a list of operations runs forward and backward.

Reverse-mode differentiation keeps what an operation's derivative needs until that derivative has been computed. Given
operations with the bytes that they make and keep, this file finds the bytes alive at every moment. It knows nothing
of transformers: `activations.py` and `cpu_activations.py` write the lists of operations.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation: the tensors that it reads, makes and keeps, with their bytes on one device."""

    name: str
    """Unique in its list."""
    component: str
    """The part of the model that it belongs to, as memory is reported."""
    reads: tuple[str, ...] = ()
    """Tensors with a gradient that it reads."""
    makes: Mapping[str, float] = field(default_factory=dict)
    """New tensors and their bytes; the gradient of a tensor has the same size."""
    keeps: tuple[str, ...] = ()
    """Tensors (read or made) that its backward needs."""
    holds: tuple[str, ...] = ()
    """Tensors that the program still names while it runs, so that forward cannot release them earlier."""
    extra: float = 0
    """Bytes that its backward needs and that have no name of their own: statistics, masks, casts of inputs."""
    weight_gradient: float = 0
    """Bytes of its weights' gradients."""
    cast_gradient: float = 0
    """Bytes of the 16-bit gradient of its cast weights. Autograd casts it to `weight_gradient` right after the
    operation has handed on its gradients and released what it kept."""
    forward_workspace: float = 0
    """Further bytes alive while its forward runs, released at once."""
    backward_workspace: float = 0
    """Further bytes alive while its backward runs, released at once."""
    passes_gradient: bool = False
    """It is a sum: backward hands the gradient of its result to its inputs without a copy."""
    core: bool = False
    """Part of the attention core that selective recomputation runs again (Korthikanti et al. 2022)."""
    stored_by_policy: bool = False
    """Its results are what the `selective_ops` policy stores instead of running the operation again."""


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
    """Bytes of weights' gradients that stay after backward."""

    @property
    def kept_bytes(self) -> float:
        return sum(self.kept.values())


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What stays in memory from forward to backward: tensors by name, and the `extra` of operations by name."""

    tensors: set[str]
    extras: set[str]


def simulate_passes(
    ops: Sequence[Op],
    inputs: Mapping[str, float],
    *,
    output: str,
    recompute: str = "none",
    fresh_gradients: bool = True,
) -> Passes:
    """Follow every tensor through `ops`, forward and backward, and count bytes.

    Args:
        ops: the operations in the order of forward.
        inputs: bytes of the tensors that are made elsewhere.
        output: the tensor whose gradient starts backward.
        recompute: none, selective (the `core` runs again), selective_ops (all but `stored_by_policy` runs again) or
            full (all runs again from the inputs).
        fresh_gradients: the gradients of weights stay as they are made; otherwise they are added to older ones and
            released.
    """
    sizes = dict(inputs)
    for op in ops:
        sizes.update(op.makes)
    needed = _Stored(tensors={name for op in ops for name in op.keeps}, extras={op.name for op in ops})
    stored = _stored(ops, inputs, needed, recompute)
    backward_peak, component = _backward_peak(
        ops,
        sizes,
        output,
        alive_at_start=needed.tensors | _held_through_backward(ops, inputs, recompute),
        core_again=recompute == "selective",
        core_tensors=needed.tensors & _made_by_core_only(ops, inputs) if recompute == "selective" else set(),
        fresh_gradients=fresh_gradients,
    )
    if recompute in ("full", "selective_ops"):
        # The gradient of the output waits while forward runs again.
        waiting = sum(sizes[name] for name in stored.tensors - needed.tensors - set(inputs)) + sizes[output]
        again_peak = waiting + _forward_peak(ops, inputs, sizes, stored=needed, output=output)
        if again_peak > backward_peak:
            backward_peak, component = again_peak, "recomputation"
    return Passes(
        kept=_kept_by_component(ops, inputs, sizes, stored),
        forward_peak=_forward_peak(ops, inputs, sizes, stored=stored, output=output),
        backward_peak=backward_peak,
        backward_component=component,
        weight_gradients=float(sum(op.weight_gradient for op in ops)) if fresh_gradients else 0.0,
    )


def _stored(ops: Sequence[Op], inputs: Mapping[str, float], needed: _Stored, recompute: str) -> _Stored:
    """What a recomputation mode stores, of what backward needs and of what it starts again from."""
    if recompute == "full":
        return _Stored(tensors=set(inputs), extras=set())
    if recompute == "selective_ops":
        by_policy = [op for op in ops if op.stored_by_policy]
        return _Stored(
            tensors=set(inputs) | {name for op in by_policy for name in op.makes},
            extras={op.name for op in by_policy if op.core},
        )
    if recompute == "selective":
        return _Stored(
            tensors=needed.tensors - _made_by_core_only(ops, inputs),
            extras={op.name for op in ops if not op.core},
        )
    return needed


def _made_by_core_only(ops: Sequence[Op], inputs: Mapping[str, float]) -> set[str]:
    """Tensors that the core makes and that no operation outside it needs in backward."""
    kept_outside = {name for op in ops if not op.core for name in op.keeps}
    return {name for op in ops if op.core for name in op.makes} - kept_outside - set(inputs)


def _held_through_backward(ops: Sequence[Op], inputs: Mapping[str, float], recompute: str) -> set[str]:
    """Tensors that recomputation holds besides those that backward needs: it releases the rest of what it stored."""
    if recompute == "full":
        return set(inputs)
    if recompute == "selective_ops":
        # Forward runs again up to the last tensor that backward needs; what was stored beyond it is not released.
        last = max(index for index, op in enumerate(ops) if op.keeps or op.extra)
        return set(inputs) | {name for op in ops[last:] if op.stored_by_policy for name in op.makes}
    return set()


def _kept_by_component(
    ops: Sequence[Op], inputs: Mapping[str, float], sizes: Mapping[str, float], stored: _Stored
) -> dict[str, float]:
    component_of = dict.fromkeys(inputs, "residual")
    for op in ops:
        component_of.update(dict.fromkeys(op.makes, op.component))
    kept: dict[str, float] = {}
    for name in stored.tensors:
        kept[component_of[name]] = kept.get(component_of[name], 0) + sizes[name]
    for op in ops:
        if op.name in stored.extras:
            kept[op.component] = kept.get(op.component, 0) + op.extra
    return kept


def _forward_peak(
    ops: Sequence[Op],
    inputs: Mapping[str, float],
    sizes: Mapping[str, float],
    *,
    stored: _Stored,
    output: str,
) -> float:
    """Largest bytes alive during forward; a tensor that is not stored goes after its last reader."""
    last_use = {name: index for index, op in enumerate(ops) for name in op.reads + op.holds}
    stays = stored.tensors | {output}
    alive = set(inputs)
    live = peak = float(sum(inputs.values()))
    for index, op in enumerate(ops):
        live += sum(op.makes.values())
        alive |= set(op.makes)
        peak = max(peak, live + op.extra + op.forward_workspace)
        if op.name in stored.extras:
            live += op.extra
        for name in [n for n in alive - stays if last_use.get(n, -1) <= index]:
            alive.discard(name)
            live -= sizes[name]
    return peak


@dataclass(eq=False)
class _Buffer:
    """Memory that holds the gradient of one tensor, or of several: the inputs of a sum share one."""

    size: float
    users: int = 1


class _LiveBytes:
    """Bytes alive at a moment of backward, the largest total so far, and the component that reached it."""

    def __init__(self, now: float, component: str) -> None:
        self.now = self.peak = now
        self.peak_component = component

    def observe(self, component: str, more: float = 0.0) -> None:
        """A moment at which `more` bytes are alive besides those of now."""
        if self.now + more > self.peak:
            self.peak, self.peak_component = self.now + more, component

    def release(self, buffers: Iterable[_Buffer]) -> None:
        """One user of each buffer is done with it; the last one frees its memory."""
        for buffer in buffers:
            buffer.users -= 1
            if not buffer.users:
                self.now -= buffer.size


def _backward_peak(
    ops: Sequence[Op],
    sizes: Mapping[str, float],
    output: str,
    *,
    alive_at_start: set[str],
    core_again: bool,
    core_tensors: set[str],
    fresh_gradients: bool,
) -> tuple[float, str]:
    """(largest bytes alive during backward, the component whose backward reaches it).

    With `core_again` the core runs again when backward reaches it, and `core_tensors` exist only from then on.
    """
    start = sum(sizes[name] for name in alive_at_start - core_tensors)
    start += sum(op.extra for op in ops if not (core_again and op.core))
    live = _LiveBytes(start + sizes[output], ops[-1].component)
    gradient_of = {output: _Buffer(sizes[output])}
    keepers = Counter(name for op in ops for name in op.keeps)
    for op in reversed(ops):
        if core_again and op.core:
            core_again = False
            live.now += sum(sizes[name] for name in core_tensors) + sum(o.extra for o in ops if o.core)

        incoming = [gradient_of.pop(name) for name in op.makes if name in gradient_of]
        if op.passes_gradient:
            outgoing = dict.fromkeys(op.reads, incoming[0])
            incoming[0].users += len(outgoing)
        else:
            outgoing = {name: _Buffer(sizes[name]) for name in op.reads}
            live.now += sum(buffer.size for buffer in outgoing.values())
        live.observe(op.component, op.backward_workspace + (op.cast_gradient or op.weight_gradient))

        live.release(incoming)
        live.now -= op.extra
        for name in op.keeps:
            keepers[name] -= 1
            if not keepers[name]:
                live.now -= sizes[name]
        if op.cast_gradient and op.weight_gradient:
            live.observe(op.component, op.backward_workspace + op.cast_gradient + op.weight_gradient)
        if fresh_gradients:
            live.now += op.weight_gradient

        for name, buffer in outgoing.items():
            earlier = gradient_of.get(name)
            if earlier is None:
                gradient_of[name] = buffer
                continue
            # A second gradient of the same tensor: their sum is a new tensor.
            live.now += sizes[name]
            live.observe(op.component)
            live.release((earlier, buffer))
            gradient_of[name] = _Buffer(sizes[name])
    return live.peak, live.peak_component
