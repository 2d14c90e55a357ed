"""AsyncStore: a Store for programs with an event loop; every call runs in a thread.

One class hands every name of Store on instead of repeating it. The C core releases the GIL, so
searches of several tasks run side by side. A transaction belongs to one thread, and so it comes as
a function: `await store.transact(lambda txn: txn.link(...))`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from .snapshot import Snapshot
from .store import Store
from .store import open as open_store
from .transaction import Transaction

Result = TypeVar("Result")


class AsyncStore:
    """`async with AsyncStore("brain") as store: await store.search("...")`.

    Takes what `open` takes; opens on entering. The methods are Store's, to be awaited, but for
    `snapshot` and `transaction`: see `view` and `transact`. A task that is cancelled stops waiting;
    the call itself goes on to its end in its thread.
    """

    def __init__(self, path: str | os.PathLike[str], **how: Any) -> None:
        self._path = path
        self._how = how
        self._store: Store | None = None

    async def __aenter__(self) -> Self:
        self._store = await asyncio.to_thread(open_store, self._path, **self._how)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._opened().close)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_") or name in ("snapshot", "transaction"):
            raise AttributeError(f"AsyncStore has no {name!r}; see view and transact")
        method = getattr(Store, name)  # AttributeError for what no store has.

        async def call(*args: Any, **fields: Any) -> Any:
            return await asyncio.to_thread(method, self._opened(), *args, **fields)

        call.__name__, call.__doc__ = name, method.__doc__
        return call

    async def view(self, reading: Callable[[Snapshot], Result]) -> Result:
        """What a function says of a new snapshot; it runs in a thread."""

        def run() -> Result:
            with self._opened().snapshot() as view:
                return reading(view)

        return await asyncio.to_thread(run)

    async def transact(self, writing: Callable[[Transaction], Result]) -> Result:
        """What a function returns from a new transaction, committed; it runs in a thread."""

        def run() -> Result:
            with self._opened().transaction() as txn:
                return writing(txn)

        return await asyncio.to_thread(run)

    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError("an AsyncStore opens in `async with`")
        return self._store
