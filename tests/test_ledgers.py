"""The ledger of who fired: frames in order, silence included, and a window that ends."""

import numpy as np
import pytest
from quillian.errors import InvalidError, NotFoundError
from quillian.ledgers import Ledger
from quillian.spiking import Network


def test_frames_are_who_fired_silence_included() -> None:
    network = Network(4, threshold=1)
    network.connect([0, 1], [1, 2])
    ledger = Ledger(1, 2, window=5)
    network.watch(ledger).inject(0, 1)
    network.run(4)
    assert ledger.frames(depth=4).tolist() == [
        [False, False],
        [True, False],
        [False, True],
        [False, False],
    ]
    assert ledger.frames(end=3, depth=2).tolist() == [[True, False], [False, True]]


def test_outside_the_window_is_an_error() -> None:
    ledger = Ledger(0, 3, window=2)
    for burst in (1, 2, 3):
        ledger.after(None, burst, np.array([burst - 1], np.uint32))
    assert ledger.frames().tolist() == [[False, True, False], [False, False, True]]
    assert ledger.held() == [2, 3]
    for end, depth in ((2, 2), (4, 1), (3, 3), (1, 1)):
        with pytest.raises(NotFoundError, match="window 2"):
            ledger.frames(end, depth)
    with pytest.raises(InvalidError):
        ledger.frames(depth=0)


def test_all_and_any_count_unseen_bursts_as_silent() -> None:
    ledger = Ledger(10, 9, window=3)
    ledger.after(None, 1, np.array([9, 10, 18, 19], np.uint32))
    every, some = ledger.all_and_any(2)
    assert (np.flatnonzero(every).tolist(), np.flatnonzero(some).tolist()) == ([], [0, 8])
    ledger.after(None, 2, np.array([18], np.uint32))
    every, some = ledger.all_and_any(2)
    assert (np.flatnonzero(every).tolist(), np.flatnonzero(some).tolist()) == ([8], [0, 8])
