"""dask, which records nothing: delayed tasks on threads, or futures on a local cluster."""

from __future__ import annotations

from importlib.metadata import version

import common
import dask


def chain_threads(n):
    x, step = 0, dask.delayed(common.inc)
    for _ in range(n):
        x = step(x)
    return x.compute(scheduler="threads")


def fan_threads(n):
    step = dask.delayed(common.inc)
    return dask.delayed(sum)([step(i) for i in range(n)]).compute(scheduler="threads")


def client():
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        processes=False, dashboard_address=None, n_workers=1, threads_per_worker=8
    )
    return Client(cluster)


def chain_futures(cluster, n):
    x = 0
    for _ in range(n):
        x = cluster.submit(common.inc, x, pure=False)
    return x.result()


def fan_futures(cluster, n):
    return cluster.submit(sum, cluster.map(common.inc, range(n), pure=False)).result()


def chain(arguments):
    if arguments.scheduler == "threads":
        return lambda: chain_threads(arguments.n)
    cluster = client()
    chain_futures(cluster, 1)
    return lambda: chain_futures(cluster, arguments.n)


def fan(arguments):
    if arguments.scheduler == "threads":
        return lambda: fan_threads(arguments.n)
    cluster = client()
    chain_futures(cluster, 1)
    return lambda: fan_futures(cluster, arguments.n)


if __name__ == "__main__":
    common.main(
        version("dask"),
        {"chain": chain, "fan": fan, "cold": chain},
        warm_up=lambda: chain_threads(1),
    )
