"""AsyncStore does what Store does, in threads."""

import asyncio
from pathlib import Path

import pytest
import quillian as ql


async def story(path: Path) -> list[str]:
    async with ql.AsyncStore(path, dim=2) as store:
        await store.add_many(ids=["a", "b"], vectors=[[1.0, 0.0], [0.0, 1.0]])
        await store.transact(lambda txn: txn.link("a", "b", "likes"))
        assert await store.view(lambda view: [x.target for x in view.neighbours("a")]) == ["b"]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(store.search(vector=question, k=1))
                for question in ([1.0, 0.1], [0.1, 1.0]) * 5
            ]
        return [task.result()[0].id for task in tasks]


def test_calls_of_many_tasks_get_their_own_answers(tmp_path: Path) -> None:
    assert asyncio.run(story(tmp_path / "store")) == ["a", "b"] * 5


def test_failing_transaction_is_aborted_and_its_error_arrives(tmp_path: Path) -> None:
    async def main() -> int:
        async with ql.AsyncStore(tmp_path / "store", dim=2) as store:
            with pytest.raises(ql.NotFoundError):
                await store.transact(lambda txn: (txn.add(id="a"), txn.link("a", "x", "t")))
            return await store.view(len)

    assert asyncio.run(main()) == 0


def test_names_that_a_store_lacks_are_refused() -> None:
    store = ql.AsyncStore("nowhere")
    for name in ("transaction", "snapshot", "nonsense"):
        with pytest.raises(AttributeError):
            getattr(store, name)
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(store.get("a"))
