"""Numba kernels for what a decoder computes between its matrix products on a processor.

Each kernel passes once over memory. Arrays are C-contiguous and do not overlap. A matrix is float32, or uint16 that
holds the bits of bfloat16; numbers are computed in float32 either way. Array names end in their shape: N tokens,
C width, B sequences, T positions, H query heads, K key/value heads, S head width, R half of it, F feed-forward width,
V vocabulary, J rows of stacked projections. A leading d marks the gradient of the loss with respect to an array.

Numba compiles a kernel when it first meets a dtype, which takes seconds, and caches the result on disk for later
processes. A kernel runs on one thread, whatever PyTorch is given: threads share only the matrix products.

All kernels stand in one file because the cache is renewed when the file of a kernel changes, and not when a function
changes that it calls from another file.
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
"""float32 numbers in the widest vector registers (AVX-512). A loop over a multiple of it has no scalar remainder."""
HIDDEN_SCORE = f32(-1e30)
"""Score of a key that lies after the query: its softmax weight is 0, and unlike an infinity it gives no NaN."""


class _Disjoint(Compiler):
    """Numba's compiler, which may assume that the arrays of a call do not overlap: loops need not check for it."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


FAST_MATH = {"reassoc", "contract", "nsz", "arcp", "afn"}
"""LLVM's fast-math flags: sums may be reordered, so that they fit into vector registers. NaN and infinity are
respected, because a diverging run must show them."""


def kernel(function: Any, flags: Any = frozenset(FAST_MATH)) -> Any:
    """Compile a function, and cache it on disk where a folder for that can be written."""
    options: dict[str, Any] = {"nogil": True, "fastmath": set(flags), "error_model": "numpy"}
    # A helper that is called, not inlined, would be whichever copy of it the process has loaded first: results would
    # depend in their last bits on whether kernels are compiled or read from the cache, and in which order.
    options["forceinline"] = True
    try:
        return njit(pipeline_class=_Disjoint, cache=True, **options)(function)
    except RuntimeError:  # Numba found no folder that it can write
        return njit(pipeline_class=_Disjoint, **options)(function)


def kernel_ignoring_nan(function: Any) -> Any:
    """A `kernel` that may ignore NaN: only then does LLVM vectorise the search for a maximum."""
    return kernel(function, {*FAST_MATH, "nnan"})


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
    """The larger of two float32, ignoring NaN. Unlike `max`, LLVM vectorises it."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), ir.FloatType()])
        return builder.call(
            builder.module.declare_intrinsic("llvm.maxnum", [ir.FloatType()], kind), arguments
        )

    return types.float32(a, b), emit


def get(array, index):
    """One number of an array, as float32."""


def put(array, index, number):
    """Set one number of an array, rounded to the array's precision: to nearest, ties to even."""


@overload(get, jit_options={"fastmath": FAST_MATH})
def _get(array, index):
    if array.dtype == types.uint16:
        return lambda array, index: _float_of(u32(u32(array[index]) << u32(16)))
    return lambda array, index: array[index]


@overload(put, jit_options={"fastmath": FAST_MATH})
def _put(array, index, number):
    if array.dtype == types.uint16:

        def rounded(array, index, number):
            bits = _bits_of(number)
            kept = u32(bits + u32(0x7FFF) + ((bits >> u32(16)) & u32(1))) >> u32(16)
            # Rounding could turn the bits of a NaN into those of an infinity.
            array[index] = np.uint16(kept if number == number else u32(0x7FC0))

        return rounded

    def exact(array, index, number):
        array[index] = number

    return exact


@kernel
def exp(x):
    """e^x with a relative error of about 1e-7, for x up to 88; an x below -87 is taken as -87.

    e^x = 2^n e^r with r in [-ln 2 / 2, ln 2 / 2]; e^r is the polynomial of Cephes' expf (Moshier, 1989).
    """
    x = f32(-87.0) if x < f32(-87.0) else x
    n = np.floor(x * f32(1.44269504088896341) + f32(0.5))
    r = x - n * f32(0.693359375) + n * f32(2.12194440e-4)  # ln 2 as a sum of two: n times the first is exact
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
    """Root-mean-square norm: u = gain x / rms(x), and inverse = 1 / rms(x)."""
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
    """Gradients of `norm`'s input and gain.

    `direct_NC` is the gradient that reaches x by the residual connection, which is added to dx; None for none.
    """
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
    """1 / rms over S consecutive rows, for each position of a sequence."""
    T = x_JBT.shape[2]
    inverse_T[:] = f32(0)
    for s in range(S):
        for t in range(T):
            inverse_T[t] += get(x_JBT, (row + s, b, t)) * get(x_JBT, (row + s, b, t))
    for t in range(T):
        inverse_T[t] = f32(1) / np.sqrt(inverse_T[t] / f32(S) + f32(eps))


@kernel
def _norm_and_rotate(x_JBT, row, b, cos_RT, sin_RT, gain_S, eps, scale, inverse_T, y_ST):
    """y = scale · rotate(gain x / rms(x)) of one head; without the norm where `gain_S` is None."""
    R, T = cos_RT.shape
    if gain_S is not None:
        _invert_rms(x_JBT, row, b, 2 * R, eps, inverse_T)
    for r in range(R):
        for t in range(T):
            first, second = get(x_JBT, (row + r, b, t)) * scale, get(x_JBT, (row + R + r, b, t)) * scale
            if gain_S is not None:
                first *= inverse_T[t] * gain_S[r]
                second *= inverse_T[t] * gain_S[R + r]
            y_ST[r, t] = first * cos_RT[r, t] - second * sin_RT[r, t]
            y_ST[R + r, t] = second * cos_RT[r, t] + first * sin_RT[r, t]


@kernel
def _norm_and_rotate_backward(
    dy_ST, x_JBT, row, b, cos_RT, sin_RT, gain_S, eps, scale, inverse_T, along_T, dx_JBT, dgain_S
):
    """Gradients of `_norm_and_rotate`: writes that of x, adds to that of the gain, and overwrites dy as workspace."""
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
def attention(qkv_JBT, cos_RT, sin_RT, query_gain_S, key_gain_S, eps, out_JBT, softmax_2HBT):
    """Causal attention of normed and rotated queries and keys, which does not store the attention weights.

    `qkv_JBT` stacks S rows for each of H query heads, K key heads and K value heads; `out_JBT` stacks S rows for each
    query head. A gain of None means no norm. `softmax_2HBT` receives, for each query, the largest score m and
    1 / Σ exp(score − m), from which backward computes the weights again (Dao et al., 2022; scores are not tiled here,
    because a query has few enough).
    """
    (J, B, T), S, H = qkv_JBT.shape, 2 * cos_RT.shape[0], softmax_2HBT.shape[1]
    K, scale = (J // S - H) // 2, f32(1 / math.sqrt(S))
    Tp, Sp = _up_to_multiple(T, LANES), _up_to_multiple(S, 4)  # padding with zeros changes no result
    q, k, v = np.zeros((Sp, Tp), f32), np.zeros((Sp, Tp), f32), np.zeros((Sp, Tp), f32)
    out, scores = np.zeros((Sp, Tp), f32), np.zeros((4, Tp), f32)
    inverse, over_sums, nothing = np.zeros(T, f32), np.zeros(4, f32), np.zeros(4, f32)
    for b in range(B):
        for h in range(H):
            g = h // (H // K)
            if h % (H // K) == 0:
                _norm_and_rotate(qkv_JBT, (H + g) * S, b, cos_RT, sin_RT, key_gain_S, eps, f32(1), inverse, k)
                _read(qkv_JBT, (H + K + g) * S, b, S, v)
            _norm_and_rotate(qkv_JBT, h * S, b, cos_RT, sin_RT, query_gain_S, eps, scale, inverse, q)
            for i in range(0, T, 4):
                keys = _up_to_multiple(i + 4, LANES)
                _four_rows(q, i, k, keys, Sp, nothing, scores)
                for r in range(4):
                    largest, total = _hide_and_find_largest(scores, r, i + r, keys), f32(0)
                    for t in range(keys):
                        weight = exp(scores[r, t] - largest)
                        scores[r, t] = weight
                        total += weight
                    over_sums[r] = f32(1) / total
                    if i + r < T:
                        softmax_2HBT[0, h, b, i + r] = largest
                        softmax_2HBT[1, h, b, i + r] = over_sums[r]
                _four_sums(scores, v, keys, Sp, i, over_sums, out)
            _write(out, out_JBT, h * S, b, S)


@kernel
def attention_backward(
    dout_JBT, qkv_JBT, cos_RT, sin_RT, query_gain_S, key_gain_S, eps, out_JBT, softmax_2HBT,
    dqkv_JBT, dquery_gain_S, dkey_gain_S,
):  # fmt: skip
    """Gradients of `attention`'s stacked projections and gains; the attention weights are computed again."""
    (J, B, T), S, H = qkv_JBT.shape, 2 * cos_RT.shape[0], softmax_2HBT.shape[1]
    K, scale = (J // S - H) // 2, f32(1 / math.sqrt(S))
    Tp, Sp = _up_to_multiple(T, LANES), _up_to_multiple(S, 4)
    q, k, v = np.zeros((Sp, Tp), f32), np.zeros((Sp, Tp), f32), np.zeros((Sp, Tp), f32)
    dq, dk, dv, dout = (
        np.zeros((Sp, Tp), f32),
        np.zeros((Sp, Tp), f32),
        np.zeros((Sp, Tp), f32),
        np.zeros((Sp, Tp), f32),
    )
    weights, dscores, ones = np.zeros((4, Tp), f32), np.zeros((4, Tp), f32), np.ones(4, f32)
    inverse, along = np.zeros(T, f32), np.zeros(T, f32)
    minus_along, minus_largest = np.zeros(Tp, f32), np.zeros(Tp, f32)
    dquery_gain_S[:] = f32(0)
    dkey_gain_S[:] = f32(0)
    for b in range(B):
        for h in range(H):
            g = h // (H // K)
            if h % (H // K) == 0:
                _norm_and_rotate(qkv_JBT, (H + g) * S, b, cos_RT, sin_RT, key_gain_S, eps, f32(1), inverse, k)
                _read(qkv_JBT, (H + K + g) * S, b, S, v)
                dk[:] = f32(0)
                dv[:] = f32(0)
            _norm_and_rotate(qkv_JBT, h * S, b, cos_RT, sin_RT, query_gain_S, eps, scale, inverse, q)
            _read(dout_JBT, h * S, b, S, dout)
            minus_along[:] = f32(0)
            for s in range(S):
                for t in range(T):
                    minus_along[t] -= dout[s, t] * get(out_JBT, (h * S + s, b, t))
            for t in range(T):
                minus_largest[t] = -softmax_2HBT[0, h, b, t]
            for i in range(0, T, 4):
                keys = _up_to_multiple(i + 4, LANES)
                _four_rows(q, i, k, keys, Sp, minus_largest[i : i + 4], weights)
                _four_rows(dout, i, v, keys, Sp, minus_along[i : i + 4], dscores)
                for r in range(4):
                    over_sum = softmax_2HBT[1, h, b, min(i + r, T - 1)]
                    for t in range(keys):
                        weight = exp(weights[r, t]) * over_sum
                        if t > i + r:
                            weight = f32(0)
                        weights[r, t] = weight
                        dscores[r, t] *= weight
                _four_sums(dscores, k, keys, Sp, i, ones, dq)
                _add_four(dscores, q, i, keys, Sp, dk)
                _add_four(weights, dout, i, keys, Sp, dv)
            _norm_and_rotate_backward(
                dq, qkv_JBT, h * S, b, cos_RT, sin_RT, query_gain_S, eps, scale, inverse, along, dqkv_JBT, dquery_gain_S
            )  # fmt: skip
            if (h + 1) % (H // K) == 0:
                _norm_and_rotate_backward(
                    dk, qkv_JBT, (H + g) * S, b, cos_RT, sin_RT, key_gain_S, eps, f32(1), inverse, along, dqkv_JBT,
                    dkey_gain_S,
                )  # fmt: skip
                _write(dv, dqkv_JBT, (H + K + g) * S, b, S)


@kernel
def _up_to_multiple(number, of):
    return (number + of - 1) // of * of


@kernel
def _read(x_JBT, row, b, S, x_ST):
    """Copy one head of one sequence into float32."""
    for s in range(S):
        for t in range(x_JBT.shape[2]):
            x_ST[s, t] = get(x_JBT, (row + s, b, t))


@kernel
def _write(x_ST, x_JBT, row, b, S):
    """Copy one head of one sequence back, rounded."""
    for s in range(S):
        for t in range(x_JBT.shape[2]):
            put(x_JBT, (row + s, b, t), x_ST[s, t])


@kernel
def _four_rows(x_ST, i, y_ST, keys, S, start_4, out_4T):
    """out = start + rows i to i + 3 of xᵀ y, for the first `keys` columns of y."""
    for s in range(0, S, 4):
        a0, a1, a2, a3 = x_ST[s, i], x_ST[s + 1, i], x_ST[s + 2, i], x_ST[s + 3, i]
        b0, b1, b2, b3 = x_ST[s, i + 1], x_ST[s + 1, i + 1], x_ST[s + 2, i + 1], x_ST[s + 3, i + 1]
        c0, c1, c2, c3 = x_ST[s, i + 2], x_ST[s + 1, i + 2], x_ST[s + 2, i + 2], x_ST[s + 3, i + 2]
        d0, d1, d2, d3 = x_ST[s, i + 3], x_ST[s + 1, i + 3], x_ST[s + 2, i + 3], x_ST[s + 3, i + 3]
        if s == 0:
            for j in range(keys):
                y0, y1, y2, y3 = y_ST[s, j], y_ST[s + 1, j], y_ST[s + 2, j], y_ST[s + 3, j]
                out_4T[0, j] = start_4[0] + a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                out_4T[1, j] = start_4[1] + b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
                out_4T[2, j] = start_4[2] + c0 * y0 + c1 * y1 + c2 * y2 + c3 * y3
                out_4T[3, j] = start_4[3] + d0 * y0 + d1 * y1 + d2 * y2 + d3 * y3
        else:
            for j in range(keys):
                y0, y1, y2, y3 = y_ST[s, j], y_ST[s + 1, j], y_ST[s + 2, j], y_ST[s + 3, j]
                out_4T[0, j] += a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                out_4T[1, j] += b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
                out_4T[2, j] += c0 * y0 + c1 * y1 + c2 * y2 + c3 * y3
                out_4T[3, j] += d0 * y0 + d1 * y1 + d2 * y2 + d3 * y3


@kernel_ignoring_nan
def _hide_and_find_largest(scores_4T, row, query, keys):
    """The largest score of one query, after hiding the scores of keys that lie after it."""
    largest = HIDDEN_SCORE
    for t in range(keys):
        score = scores_4T[row, t]
        if t > query:
            score = HIDDEN_SCORE
        scores_4T[row, t] = score
        largest = _larger(largest, score)
    return largest


@kernel
def _four_sums(weights_4T, y_ST, keys, S, i, factor_4, out_ST):
    """Columns i to i + 3 of out = factor · y weightsᵀ."""
    for s in range(0, S, 2):
        a0, a1, b0, b1 = f32(0), f32(0), f32(0), f32(0)
        c0, c1, d0, d1 = f32(0), f32(0), f32(0), f32(0)
        for j in range(keys):
            y0, y1 = y_ST[s, j], y_ST[s + 1, j]
            a0 += weights_4T[0, j] * y0
            a1 += weights_4T[0, j] * y1
            b0 += weights_4T[1, j] * y0
            b1 += weights_4T[1, j] * y1
            c0 += weights_4T[2, j] * y0
            c1 += weights_4T[2, j] * y1
            d0 += weights_4T[3, j] * y0
            d1 += weights_4T[3, j] * y1
        out_ST[s, i], out_ST[s + 1, i] = a0 * factor_4[0], a1 * factor_4[0]
        out_ST[s, i + 1], out_ST[s + 1, i + 1] = b0 * factor_4[1], b1 * factor_4[1]
        out_ST[s, i + 2], out_ST[s + 1, i + 2] = c0 * factor_4[2], c1 * factor_4[2]
        out_ST[s, i + 3], out_ST[s + 1, i + 3] = d0 * factor_4[3], d1 * factor_4[3]


@kernel
def _add_four(weights_4T, x_ST, i, keys, S, sum_ST):
    """sum += columns i to i + 3 of x times four rows of weights."""
    for s in range(0, S, 2):
        a0, a1, b0, b1 = x_ST[s, i], x_ST[s + 1, i], x_ST[s, i + 1], x_ST[s + 1, i + 1]
        c0, c1, d0, d1 = x_ST[s, i + 2], x_ST[s + 1, i + 2], x_ST[s, i + 3], x_ST[s + 1, i + 3]
        for j in range(keys):
            w0, w1, w2, w3 = weights_4T[0, j], weights_4T[1, j], weights_4T[2, j], weights_4T[3, j]
            sum_ST[s, j] += a0 * w0 + b0 * w1 + c0 * w2 + d0 * w3
            sum_ST[s + 1, j] += a1 * w0 + b1 * w1 + c1 * w2 + d1 * w3


@kernel_ignoring_nan
def _largest(row, size):
    """The largest of the first `size` numbers."""
    largest = row[0]
    for i in range(size):
        largest = _larger(largest, row[i])
    return largest


@kernel
def _exponentials(row, size):
    """Replace each of the first `size` scores by exp(score − largest); return the sum of these, and the largest."""
    largest, total = _largest(row, size), f32(0)
    for i in range(size):
        weight = exp(row[i] - largest)
        row[i] = weight
        total += weight
    return total, largest


# --- feed-forward ---


@kernel
def swiglu(gate_up_N2F, hidden_NF):
    """hidden = silu(gate) · up."""
    N, F = hidden_NF.shape
    for n in range(N):
        for f in range(F):
            gate = get(gate_up_N2F, (n, 0, f))
            put(hidden_NF, (n, f), gate * _sigmoid(gate) * get(gate_up_N2F, (n, 1, f)))


@kernel
def swiglu_backward(gate_up_N2F, dhidden_NF):
    """Gradients of `swiglu`, in place: gates and ups become their gradients, and dhidden becomes hidden again."""
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


# --- embedding and loss ---


@kernel
def cross_entropy(logits_NV, targets_N):
    """The sum of the rows' cross-entropies in nats; each logit is replaced by the sum's gradient to it.

    Raises:
        IndexError: for a target outside the vocabulary.
    """
    N, V = logits_NV.shape
    row, total = np.zeros(V, f32), 0.0
    for n in range(N):
        if not 0 <= targets_N[n] < V:
            raise IndexError("a target lies outside the vocabulary")
        for v in range(V):
            row[v] = get(logits_NV, (n, v))
        wanted = row[targets_N[n]]
        weights, largest = _exponentials(row, V)
        total += largest + np.log(weights) - wanted
        factor = f32(1) / weights
        for v in range(V):
            put(logits_NV, (n, v), row[v] * factor)
        put(logits_NV, (n, targets_N[n]), row[targets_N[n]] * factor - f32(1))
    return total


@kernel
def sum_rows(rows_NC, places_N, sums_VC):
    """sums[places[n]] is the sum of all rows n with that place: the gradient of an embedding."""
    sums_VC[:] = f32(0)
    for n in range(rows_NC.shape[0]):
        for c in range(rows_NC.shape[1]):
            sums_VC[places_N[n], c] += get(rows_NC, (n, c))
