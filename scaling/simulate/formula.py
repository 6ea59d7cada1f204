"""A cost as a formula of a table's columns, such as 6*params*tokens: arithmetic, and nothing else, is read."""

import ast
import operator
from collections.abc import Callable

import numpy as np
import pandas as pd

from scaling.config.nearest import nearest
from scaling.errors import UserError

TRAIN_COST = "6*params*tokens"
"""What a run costs where nothing else is said."""
_OPERATORS: dict[type[ast.AST], Callable[..., np.ndarray]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}


def cost_of(frame: pd.DataFrame, formula: str) -> np.ndarray:
    """The cost of each row, shape (n,).

    Raises:
        UserError: the formula is no arithmetic of the columns, or a cost is not finite and positive.
    """
    try:
        parsed = ast.parse(formula, mode="eval").body
    except SyntaxError:
        raise UserError(
            f"cost={formula}: not a formula; write a column or arithmetic such as {TRAIN_COST}"
        ) from None
    with np.errstate(all="ignore"):
        cost = np.broadcast_to(_value(parsed, frame, formula), (len(frame),)).astype(float)
    wrong = ~(np.isfinite(cost) & (cost > 0))
    if wrong.any():
        raise UserError(
            f"cost={formula}: row {int(wrong.argmax()) + 1} would cost {cost[wrong][0]:g}; it must be positive"
        )
    return cost


def _value(node: ast.AST, frame: pd.DataFrame, formula: str) -> np.ndarray:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return np.asarray(float(node.value))
    if isinstance(node, ast.Name):
        if node.id not in frame:
            hint = nearest(
                node.id, [str(name) for name in frame.columns], "columns: " + ", ".join(map(str, frame))
            )
            raise UserError(f"cost={formula}: no column {node.id!r}; {hint}")
        return pd.to_numeric(frame[node.id], errors="coerce").to_numpy(float)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = (_value(side, frame, formula) for side in (node.left, node.right))
        return np.asarray(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return np.asarray(_OPERATORS[type(node.op)](_value(node.operand, frame, formula)))
    raise UserError(f"cost={formula}: only numbers, columns, + - * / ** and brackets")
