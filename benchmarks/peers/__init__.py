"""The same work on other engines, side by side with penstock: `python -m benchmarks.peers`.

`engines` says which engines there are and how much each is asked for, `trials` runs one script in
one engine's environment, `__main__` plans the trials and prints the table. `scripts/` holds the
work as each engine's users would write it; its files run alone, where there is no penstock.
"""
