"""Drivers: they do what a run's generator asks for, each in its own way of calling.

`inline` in the thread that called, `asynchronous` on the caller's event loop, `event` by callbacks
with no thread that waits, `simulated` under a virtual clock. A generator belongs to one of them.
"""
