"""What penstock costs, as ratios to floors taken in the same run: `python -m benchmarks`.

`rows` says what is measured and held to which budget, `work` does it (in child processes,
with nothing but penstock's public names), `floors` is what it is compared with, `checks` reads the
store afterwards, `report` makes the table of `docs/benchmarks.md`. `peers` runs the same work on
other engines; `profile` shows where a row's time goes.
"""
