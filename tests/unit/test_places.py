"""Who may ask for how many triggers."""

import asyncio

from services.runner.places import Places


async def test_a_job_asks_for_all_its_free_places_at_once() -> None:
    places = Places(50, {"A": 10, "B": 40})
    assert await places.take("A") == 10
    assert await places.take("B") == 40
    places.free("A", 3)
    assert await places.take("A") == 3


async def test_it_waits_while_it_has_none() -> None:
    places = Places(50, {"A": 2})
    assert await places.take("A") == 2
    waiting = asyncio.create_task(places.take("A"))
    await asyncio.sleep(0)
    assert not waiting.done()
    places.free("A")
    assert await waiting == 1


async def test_where_places_are_scarce_every_job_gets_one() -> None:
    places = Places(3, {"A": 100, "B": 100, "C": 100})
    assert [await places.take(job) for job in "ABC"] == [1, 1, 1]


async def test_a_job_that_is_fed_asks_for_more_and_one_that_is_not_for_one() -> None:
    places = Places(20, {"A": 100, "B": 100})
    taken = []
    for _ in range(5):
        taken.append(await places.take("A"))
        places.fed("A", wholly=True)
        places.free("A", taken[-1])
    assert taken == [1, 2, 4, 8, 16]
    assert await places.take("A") == 19, "one is left for B"
    assert await places.take("B") == 1
    places.free("A", 19)
    places.fed("A", wholly=False)
    assert await places.take("A") == 1


async def test_never_more_than_the_process_has() -> None:
    places = Places(2, {"A": 5, "B": 5, "C": 5})
    assert [await places.take("A"), await places.take("B")] == [1, 1]
    waiting = asyncio.create_task(places.take("C"))
    await asyncio.sleep(0)
    assert not waiting.done()
    places.free("A")
    assert await waiting == 1
