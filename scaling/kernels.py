"""What happens between a decoder's matrix products on a processor, each in one pass over memory, compiled by Numba.

Arrays are C-contiguous; a matrix is float32, or uint16 holding the bits of bfloat16, and is worked on in float32 either
way. Arrays given to one kernel do not overlap. N tokens, C width, B sequences of T positions, H query heads, K
key/value heads, S head width, R half of it, F feed-forward width, V vocabulary.

A kernel is compiled when it first meets a dtype, which takes seconds, and kept on disk for later processes.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload

f32, u32, i32 = np.float32, np.uint32, np.int32


LANES = 16
"""float32 numbers in the widest registers there are: loops over multiples of it leave no rest to do one by one."""
HIDDEN_SCORE = f32(-1e30)
"""Score of a key after the query: no weight, and no infinity to be careful of."""


class _Disjoint(Compiler):
    """Numba's compiler, told that the arrays of a call do not overlap: loops need not check it before each run."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


# Sums may be taken in any order, so that they fit into registers; nothing is assumed about NaN and infinity, which a
# diverging run has to show.
MATH = {"reassoc", "contract", "nsz", "arcp", "afn"}
kernel = njit(pipeline_class=_Disjoint, nogil=True, cache=True, fastmath=MATH, error_model="numpy")
# The largest of some numbers is found several at a time only where NaN may be passed over.
passing_nan = njit(
    pipeline_class=_Disjoint, nogil=True, cache=True, fastmath={*MATH, "nnan"}, error_model="numpy"
)


# --- numbers ---


@intrinsic
def _float_of(typing: Any, bits: Any) -> Any:
    """The float32 of the given 32 bits."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(bits), emit


@intrinsic
def _bits_of(typing: Any, number: Any) -> Any:
    """The 32 bits of a float32."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(number), emit


@intrinsic
def _larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger of two float32, passing over NaN: unlike `max`, several at a time."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), ir.FloatType()])
        return builder.call(
            builder.module.declare_intrinsic("llvm.maxnum", [ir.FloatType()], kind), arguments
        )

    return types.float32(a, b), emit


def get(array, index):
    """A number of an array, as float32."""


def put(array, index, number):
    """Set a number of an array, rounded to the nearest that it can hold, of two to the even one."""


@overload(get, jit_options={"fastmath": MATH})
def _get(array, index):
    if array.dtype == types.uint16:
        return lambda array, index: _float_of(u32(u32(array[index]) << u32(16)))
    return lambda array, index: array[index]


@overload(put, jit_options={"fastmath": MATH})
def _put(array, index, number):
    if array.dtype == types.uint16:

        def rounded(array, index, number):
            bits = _bits_of(number)
            kept = u32(bits + u32(0x7FFF) + ((bits >> u32(16)) & u32(1))) >> u32(16)
            # Of a NaN the sum above might leave an infinity.
            array[index] = np.uint16(kept if number == number else u32(0x7FC0))

        return rounded

    def exact(array, index, number):
        array[index] = number

    return exact


@kernel
def exp(x):
    """e^x to about 1e-7, for x up to 88; numbers below -87 count as -87.

    2^n e^r with r in [-ln 2 / 2, ln 2 / 2], and for e^r the polynomial of Cephes' expf (Moshier, 1989).
    """
    x = f32(-87.0) if x < f32(-87.0) else x
    n = np.floor(x * f32(1.44269504088896341) + f32(0.5))
    r = x - n * f32(0.693359375) + n * f32(2.12194440e-4)  # ln 2 in two parts, the first exact in few bits
    y = f32(1.9875691500e-4)
    y = y * r + f32(1.3981999507e-3)
    y = y * r + f32(8.3334519073e-3)
    y = y * r + f32(4.1665795894e-2)
    y = y * r + f32(1.6666665459e-1)
    y = y * r + f32(5.0000001201e-1)
    y = y * r * r + r + f32(1.0)
    return y * _float_of(i32((i32(n) + i32(127)) << i32(23)))


# --- norms ---


@kernel
def norm(x_NC, gain_C, eps, u_NC, inverse_N):
    """u = gain x / rms(x), and the reciprocals of the root mean squares."""
    N, C = x_NC.shape
    for n in range(N):
        squares = f32(0)
        for c in range(C):
            squares += get(x_NC, (n, c)) * get(x_NC, (n, c))
        inverse = f32(1) / np.sqrt(squares / f32(C) + f32(eps))
        inverse_N[n] = inverse
        for c in range(C):
            put(u_NC, (n, c), get(x_NC, (n, c)) * inverse * gain_C[c])


@kernel
def norm_backward(du_NC, x_NC, gain_C, inverse_N, direct_NC, dx_NC, dgain_C):
    """dx: what comes through the norm, on top of what passed it by (None: nothing)."""
    N, C = x_NC.shape
    dgain_C[:] = f32(0)
    for n in range(N):
        inverse, along = inverse_N[n], f32(0)
        for c in range(C):
            unit = get(x_NC, (n, c)) * inverse
            given = get(du_NC, (n, c))
            dgain_C[c] += given * unit
            along += given * gain_C[c] * unit
        along *= inverse / f32(C)
        for c in range(C):
            given = get(du_NC, (n, c)) * gain_C[c]
            through = (given - get(x_NC, (n, c)) * along) * inverse
            if direct_NC is None:
                put(dx_NC, (n, c), through)
            else:
                put(dx_NC, (n, c), through + get(direct_NC, (n, c)))


# --- attention ---


@kernel
def _invert_rms(x_JBT, row, b, S, eps, inverse_T):
    """Reciprocals of the root mean squares of S rows."""
    T = x_JBT.shape[2]
    inverse_T[:] = f32(0)
    for s in range(S):
        for t in range(T):
            inverse_T[t] += get(x_JBT, (row + s, b, t)) * get(x_JBT, (row + s, b, t))
    for t in range(T):
        inverse_T[t] = f32(1) / np.sqrt(inverse_T[t] / f32(S) + f32(eps))


@kernel
def _turn(x_JBT, row, b, cos_RT, sin_RT, gain_S, eps, scale, inverse_T, y_AST, a):
    """y = scale rotate(gain x / rms(x)) of a head, without the norm where `gain_S` is None."""
    R, T = cos_RT.shape
    if gain_S is not None:
        _invert_rms(x_JBT, row, b, 2 * R, eps, inverse_T)
    for r in range(R):
        for t in range(T):
            first, second = get(x_JBT, (row + r, b, t)) * scale, get(x_JBT, (row + R + r, b, t)) * scale
            if gain_S is not None:
                first *= inverse_T[t] * gain_S[r]
                second *= inverse_T[t] * gain_S[R + r]
            put(y_AST, (a, r, t), first * cos_RT[r, t] - second * sin_RT[r, t])
            put(y_AST, (a, R + r, t), second * cos_RT[r, t] + first * sin_RT[r, t])


@kernel
def _turn_back(dy_ST, x_JBT, row, b, cos_RT, sin_RT, gain_S, eps, scale, inverse_T, along_T, dx_JBT, dgain_S):
    """Of `_turn`: the gradient of its x, from that of its y, which is used up; that of its gain is added."""
    R, T = cos_RT.shape
    if gain_S is not None:
        _invert_rms(x_JBT, row, b, 2 * R, eps, inverse_T)
        along_T[:] = f32(0)
    for r in range(R):
        of_first, of_second = f32(0), f32(0)
        for t in range(T):
            left, right = dy_ST[r, t] * scale, dy_ST[R + r, t] * scale
            first = left * cos_RT[r, t] + right * sin_RT[r, t]
            second = right * cos_RT[r, t] - left * sin_RT[r, t]
            if gain_S is not None:
                unit_first = get(x_JBT, (row + r, b, t)) * inverse_T[t]
                unit_second = get(x_JBT, (row + R + r, b, t)) * inverse_T[t]
                of_first += first * unit_first
                of_second += second * unit_second
                first *= gain_S[r]
                second *= gain_S[R + r]
                along_T[t] += first * unit_first + second * unit_second
            dy_ST[r, t] = first
            dy_ST[R + r, t] = second
        if gain_S is not None:
            dgain_S[r] += of_first
            dgain_S[R + r] += of_second
    for s in range(2 * R):
        for t in range(T):
            given = dy_ST[s, t]
            if gain_S is not None:
                unit = get(x_JBT, (row + s, b, t)) * inverse_T[t]
                given = (given - unit * along_T[t] / f32(2 * R)) * inverse_T[t]
            put(dx_JBT, (row + s, b, t), given)


@kernel
def heads(qkv_JBT, cos_RT, sin_RT, query_gain_S, key_gain_S, eps, q_AST, k_AST, v_AST):
    """Of every query head h and sequence b, at A = h B + b: its queries, normed, rotated and over sqrt(S), and the keys
    and values that it shares.

    Rows of `qkv_JBT` are coordinates: S for each of H queries, K keys and K values. Gains None: without norms.
    """
    (J, B, T), S = qkv_JBT.shape, q_AST.shape[1]
    H = q_AST.shape[0] // B
    K = (J // S - H) // 2
    inverse, scale = np.zeros(T, f32), f32(1 / math.sqrt(S))
    for h in range(H):
        g = h // (H // K)
        for b in range(B):
            a = h * B + b
            _turn(qkv_JBT, h * S, b, cos_RT, sin_RT, query_gain_S, eps, scale, inverse, q_AST, a)
            _turn(qkv_JBT, (H + g) * S, b, cos_RT, sin_RT, key_gain_S, eps, f32(1), inverse, k_AST, a)
            for s in range(S):
                for t in range(T):
                    v_AST[a, s, t] = qkv_JBT[(H + K + g) * S + s, b, t]


@kernel
def heads_backward(
    dq_AST, dk_AST, dv_AST, qkv_JBT, cos_RT, sin_RT, query_gain_S, key_gain_S, eps, dqkv_JBT, dquery_gain_S, dkey_gain_S
):  # fmt: skip
    """Gradients of `heads`' projections and gains."""
    (J, B, T), S = qkv_JBT.shape, dq_AST.shape[1]
    H = dq_AST.shape[0] // B
    K = (J // S - H) // 2
    dy, inverse, along, scale = (
        np.zeros((S, T), f32),
        np.zeros(T, f32),
        np.zeros(T, f32),
        f32(1 / math.sqrt(S)),
    )
    dquery_gain_S[:] = f32(0)
    dkey_gain_S[:] = f32(0)
    for h in range(H):
        for b in range(B):
            dy[:] = f32(0)
            _add(dq_AST, h * B + b, dy)
            _turn_back(
                dy, qkv_JBT, h * S, b, cos_RT, sin_RT, query_gain_S, eps, scale, inverse, along, dqkv_JBT, dquery_gain_S
            )  # fmt: skip
    for g in range(K):
        sharing = range(g * (H // K), (g + 1) * (H // K))
        for b in range(B):
            dy[:] = f32(0)
            for h in sharing:
                _add(dk_AST, h * B + b, dy)
            _turn_back(
                dy, qkv_JBT, (H + g) * S, b, cos_RT, sin_RT, key_gain_S, eps, f32(1), inverse, along, dqkv_JBT,
                dkey_gain_S,
            )  # fmt: skip
            dy[:] = f32(0)
            for h in sharing:
                _add(dv_AST, h * B + b, dy)
            for s in range(S):
                for t in range(T):
                    put(dqkv_JBT, ((H + K + g) * S + s, b, t), dy[s, t])


@kernel
def _add(x_AST, a, sum_ST):
    for s in range(sum_ST.shape[0]):
        for t in range(sum_ST.shape[1]):
            sum_ST[s, t] += get(x_AST, (a, s, t))


@kernel
def side_by_side(x_AST, y_JBT):
    """What heads and sequences have one after the other, to rows of coordinates."""
    _, S, T = x_AST.shape
    B = y_JBT.shape[1]
    for j in range(y_JBT.shape[0]):
        for b in range(B):
            for t in range(T):
                y_JBT[j, b, t] = x_AST[j // S * B + b, j % S, t]


@kernel
def apart(y_JBT, x_AST):
    """The inverse of `side_by_side`."""
    _, S, T = x_AST.shape
    B = y_JBT.shape[1]
    for j in range(y_JBT.shape[0]):
        for b in range(B):
            for t in range(T):
                x_AST[j // S * B + b, j % S, t] = y_JBT[j, b, t]


@kernel
def causal_softmax(scores_AQT, first):
    """The weights that queries `first` and on give to keys, in place of their scores; none to keys after a query."""
    A, Q, T = scores_AQT.shape
    row = np.zeros(T, f32)
    for a in range(A):
        for q in range(Q):
            keys = first + q + 1
            worked = min(T, (keys + LANES - 1) // LANES * LANES)
            for t in range(worked):
                row[t] = get(scores_AQT, (a, q, t)) if t < keys else HIDDEN_SCORE
            total, _ = _weigh(row, worked)
            factor = f32(1) / total
            for t in range(T):
                weight = row[t] * factor
                if t >= keys:
                    weight = f32(0)
                put(scores_AQT, (a, q, t), weight)


@kernel
def softmax_backward(dweights_AQT, weights_AQT):
    """The gradient of the scores in place of that of their weights."""
    A, Q, T = weights_AQT.shape
    for a in range(A):
        for q in range(Q):
            along = f32(0)
            for t in range(T):
                along += get(dweights_AQT, (a, q, t)) * get(weights_AQT, (a, q, t))
            for t in range(T):
                given = get(dweights_AQT, (a, q, t)) - along
                put(dweights_AQT, (a, q, t), get(weights_AQT, (a, q, t)) * given)


@passing_nan
def _largest(row, size):
    largest = row[0]
    for i in range(size):
        largest = _larger(largest, row[i])
    return largest


@kernel
def _weigh(row, size):
    """Softmax's numerators in place of the first scores of a row; the sum of them, and the largest score."""
    largest, total = _largest(row, size), f32(0)
    for i in range(size):
        weight = exp(row[i] - largest)
        row[i] = weight
        total += weight
    return total, largest


# --- feed-forward ---


@kernel
def swiglu(gate_up_N2F, hidden_NF):
    """silu(gate) up."""
    N, F = hidden_NF.shape
    for n in range(N):
        for f in range(F):
            gate = get(gate_up_N2F, (n, 0, f))
            put(hidden_NF, (n, f), gate * _sigmoid(gate) * get(gate_up_N2F, (n, 1, f)))


@kernel
def swiglu_backward(gate_up_N2F, dhidden_NF):
    """Gradients of gates and ups in place of them, and `swiglu`'s result in place of its gradient."""
    N, F = dhidden_NF.shape
    dgate, dup = np.empty(F, f32), np.empty(F, f32)
    for n in range(N):
        for f in range(F):
            gate, up, given = (
                get(gate_up_N2F, (n, 0, f)),
                get(gate_up_N2F, (n, 1, f)),
                get(dhidden_NF, (n, f)),
            )
            sigmoid = _sigmoid(gate)
            silu = gate * sigmoid
            dgate[f] = given * up * (sigmoid + silu * (f32(1) - sigmoid))
            dup[f] = given * silu
            put(dhidden_NF, (n, f), silu * up)
        for f in range(F):
            put(gate_up_N2F, (n, 0, f), dgate[f])
        for f in range(F):
            put(gate_up_N2F, (n, 1, f), dup[f])


@kernel
def _sigmoid(x):
    x = f32(-80.0) if x < f32(-80.0) else x
    return f32(1) / (f32(1) + exp(-x))


# --- ends ---


@kernel
def cross_entropy(logits_NV, targets_N):
    """The sum of the rows' cross-entropies in nats; the logits become its gradient."""
    N, V = logits_NV.shape
    row, total = np.zeros(V, f32), 0.0
    for n in range(N):
        for v in range(V):
            row[v] = get(logits_NV, (n, v))
        wanted = row[targets_N[n]]
        weights, largest = _weigh(row, V)
        total += largest + np.log(weights) - wanted
        factor = f32(1) / weights
        for v in range(V):
            put(logits_NV, (n, v), row[v] * factor)
        put(logits_NV, (n, targets_N[n]), row[targets_N[n]] * factor - f32(1))
    return total


@kernel
def sum_rows(rows_NC, places_N, sums_VC):
    """Each row added to the row of `sums` that it belongs to, after these are set to 0."""
    sums_VC[:] = f32(0)
    for n in range(rows_NC.shape[0]):
        for c in range(rows_NC.shape[1]):
            sums_VC[places_N[n], c] += get(rows_NC, (n, c))
