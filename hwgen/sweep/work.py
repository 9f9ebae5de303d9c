"""Processes that measure: accuracies and plans of integer networks, one thread each.

They get a network as bytes and give plain values back, so they never see the float model.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import wait

import numpy as np

from hwgen.board import Board
from hwgen.errors import ToolError, UserError
from hwgen.network.store import from_bytes

__all__ = ["measure", "plan_for", "workers"]

#: Images and labels of the test set, sent to each process once.
_test: tuple[np.ndarray, np.ndarray] | None = None

#: Variables that tell BLAS and OpenMP how many threads to start.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def measure(network: tuple[bytes, bytes]) -> tuple[dict, float]:
    """Accuracy of a network on the test set, and the seconds that it took."""
    from hwgen.frontend import accuracy

    start = time.perf_counter()
    assert _test is not None, "sent when the process started"
    found = accuracy(from_bytes(*network), *_test)
    return {"accuracy": found, "images": len(_test[1])}, time.perf_counter() - start


def plan_for(network: tuple[bytes, bytes], board: Board, fps: float | None) -> tuple[dict, float]:
    """What the plan of a network says, or what is lacking, and the seconds that it took."""
    from hwgen.plan import plan

    start = time.perf_counter()
    try:
        made = plan(from_bytes(*network), board, fps)
    except UserError as error:
        return {"fits": False, "lacking": str(error)}, time.perf_counter() - start
    found = {
        "fits": True,
        "lacking": None,
        "interval": made.interval,
        "latency": made.latency,
        "frames_per_second": made.frames_per_second,
        "utilisation": made.utilisation,
        "multipliers": made.multipliers("mac"),
        **asdict(made.area),
    }
    return found, time.perf_counter() - start


@contextmanager
def workers(jobs: int, test: tuple[np.ndarray, np.ndarray] | None) -> Iterator[Executor]:
    """``jobs`` processes that know the test set; one job is done in this process.

    Left early, by an exception or Ctrl-C, it ends its processes at once. ToolError when one of
    them dies.
    """
    if jobs == 1:
        _start(test)
        yield _Here()
        return
    before = set(multiprocessing.active_children())
    pool = None
    try:
        with _one_thread(), _no_interrupts():  # which the processes inherit
            pool = ProcessPoolExecutor(
                jobs, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(test,)
            )
            pool.submit(os.getpid)  # starts them all
        yield pool
        pool.shutdown()
    except BrokenProcessPool as error:
        raise ToolError(
            "a process of the sweep was killed, perhaps for lack of memory: give fewer --jobs; "
            "what is finished is kept"
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()


class _Here(Executor):
    """Does everything at once, in this process."""

    def submit(self, fn: Callable, /, *args, **kwargs) -> Future:
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def _one_thread() -> Iterator[None]:
    old = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C waits, so that no process is half started; and the started ones never see it."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _start(test: tuple[np.ndarray, np.ndarray] | None) -> None:
    global _test
    _test = test


def _begin(test: tuple[np.ndarray, np.ndarray] | None) -> None:
    """A worker process begins."""
    threading.Thread(target=_follow, daemon=True).start()
    _start(test)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _follow() -> None:
    """End with the parent: killed, it can no longer tell its workers to stop."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a worker"
    wait([parent.sentinel])
    os._exit(1)
