# %% [markdown]
# # From a CSV of runs to a compute-optimal plan
#
# Run it as a script (`python docs/guide/from_csv_to_plan.py`), or open it as a notebook in VS Code, PyCharm or
# Jupyter (Jupytext). It needs no GPU, no torch and no network, and takes a few seconds.
#
# Everything here is also one command: `scaling fit losses.csv params=N tokens=D loss=val_loss`.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import figures
from analysis.backtest import backtest
from analysis.fit import fit
from analysis.isoflop import valleys
from analysis.present import markdown
from analysis.report import write
from analysis.study import analyse
from analysis.table import load

folder = Path(tempfile.mkdtemp(prefix="scaling_guide_"))

# %% [markdown]
# ## 1. A table of runs
#
# One row a run: parameters, training tokens, final loss. Here they are simulated from a law that we know, so that every
# answer below can be checked; put your own file in place of `losses.csv`. Five compute budgets, seven sizes each, and
# 0.2 % of noise in the loss, about what a change of seed does.

# %%
truth = {"E": 1.82, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
rng = np.random.default_rng(0)
runs = []
for budget in 1e18 * 4.0 ** np.arange(5):
    params = 0.1 * (budget / 6) ** 0.514 * np.geomspace(1 / 4, 4, 7)
    tokens = budget / (6 * params)
    loss = truth["E"] + truth["A"] / params ** truth["alpha"] + truth["B"] / tokens ** truth["beta"]
    runs.append(
        pd.DataFrame({"N": params, "D": tokens, "val_loss": loss * np.exp(0.002 * rng.standard_normal(7))})
    )
pd.concat(runs).to_csv(folder / "losses.csv", index=False)

# %% [markdown]
# ## 2. Load it, and say what the columns count
#
# Names such as `N`, `params`, `tokens` and `loss` are understood; any other is mapped. What a number *counts* cannot be
# seen from its column, and it moves exponents (with or without embeddings alone is worth 0.1 at small scale; Pearce &
# Song 2024, Porian et al. 2024). So the table says what it knows, and you say the rest.

# %%
table = load(
    folder / "losses.csv",
    columns={"params": "N", "tokens": "D", "loss": "val_loss"},
    convention={"params": "total, embeddings included", "loss": "nats/token, validation"},
)
for quantity, stated in table.convention.items():
    print(f"{quantity:8} {stated}")
for note in table.notes:
    print("note:", note)

# %% [markdown]
# A table that mixes corpora, optimizers or schedules, holds a loss that is not a number, or has the same run twice with
# different losses is refused with a line that says how to mend it. Runs whose `status` is not `done` are listed:

# %%
print(f"{len(table)} runs to fit, left out: {table.excluded_by_reason() or 'none'}")

# %% [markdown]
# ## 3. Approach 2: IsoFLOP valleys
#
# On each budget the loss has a lowest point: smaller models waste the data, larger ones see too little of it. No law is
# assumed across budgets. Look at `flat_low` and `flat_high`: sizes between them cost at most 0.1 % of loss, usually a
# factor of two or more around the optimum. A budget without a minimum in its grid is refused with the sizes to add.

# %%
found = valleys(table)
shown = found.frame()[
    ["budget_flops", "params_opt", "params_low", "params_high", "flat_low", "flat_high", "loss_opt"]
]
print(shown.to_string(index=False, float_format="{:.3g}".format))
assert found.params_law is not None
low, high = found.params_law.exponent_interval
print(f"\nN_opt ∝ C^{found.params_law.exponent:.3f}, 90 % interval {low:.3f} to {high:.3f}")
ax = figures.valleys(found)

# %% [markdown]
# ## 4. Approach 3: a law for all runs at once
#
# L(N, D) = E + A/N^α + B/D^β, fitted with a Huber loss on log L. Check the certificate before the numbers: it says
# whether the solver reached a minimum, from how many starts, and what these runs cannot tell apart.

# %%
result = fit(table, law="chinchilla")
print(result.summary())
print("\ntruth:", truth)

# %% [markdown]
# ## 5. Would it have foretold the large runs?
#
# Fit below a compute cut, predict above it. These errors, not the fit's residuals, are what to expect of a plan.

# %%
errors = backtest(table)
print(
    errors[["cut_flops", "fitted", "held", "reach", "mean_error", "bias", "covered"]].to_string(index=False)
)

# %% [markdown]
# ## 6. The plan
#
# For ten times the largest budget: how large, on how many tokens, and what loss to expect, each with its interval.
# Here the truth is known: a = β / (α + β) = 0.514.

# %%
budget = 10 * table.frame["budget"].max()
plan = result.optimal(budget).iloc[0]
print(f"{budget:.3g} FLOPs:")
for name in ("params", "tokens", "loss"):
    print(
        f"  {name:7} {plan[name]:.4g}   90 % interval {plan[name + '_low']:.4g} to {plan[name + '_high']:.4g}"
    )
ax = figures.contours(result)

# %% [markdown]
# ## 7. All of it at once
#
# `analyse` runs the three approaches, compares them, holds back the largest budget and plans; `write` leaves JSON,
# Markdown, PNG and SVG figures, and one HTML file that holds everything.

# %%
study = analyse(table)
print(markdown(study))
paths = write(study, folder / "study", title="A simulated study")
print("\n".join(str(path) for path in paths))
