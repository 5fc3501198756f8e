"""Loader and broker are killed at random points under load; nothing is lost, nothing is twice."""

from __future__ import annotations

import random
import time

import pytest
from stream.desk import Desk, Traffic

PARTITIONS = 3


@pytest.fixture
def desk(tmp_path, kafka_server, monkeypatch):
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)
    return Desk.opened(tmp_path / "library", kafka_server.bootstrap, PARTITIONS)


def test_loaders_and_the_broker_killed_at_random_points(desk, kafka_server):
    killed(desk, kafka_server, trials=3, seed=1, rate=250)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", [1, 2])
def test_loaders_and_the_broker_killed_many_times(desk, kafka_server, seed):
    killed(desk, kafka_server, trials=30, seed=seed, rate=2_000)


def killed(desk, kafka, trials, seed, rate):
    """Kill, in each trial, the loaders that work; in every third one the broker under them."""
    chance = random.Random(seed)
    traffic = Traffic(desk, PARTITIONS, rate, seed)
    traffic.start()
    loaders = [desk.started()]
    try:
        for trial in range(trials):
            if trial % 5 == 4:
                loaders.append(desk.started())  # two of them at once
            seen = len(desk.area.files("lendings"))
            wait_for(lambda seen=seen: len(desk.area.files("lendings")) > seen)
            time.sleep(chance.uniform(0, 0.5))
            if trial % 3 == 2:
                kafka.kill()
                time.sleep(chance.uniform(0, 0.5))
            if trial % 6 != 2:
                for loader in loaders:
                    assert loader.poll() is None, loader.communicate()
                    loader.kill()
                    loader.communicate()
                loaders = []
            if not kafka.is_running(1):
                kafka.restart()
            loaders = loaders or [desk.started()]
        seen = len(desk.area.files("lendings"))
        wait_for(lambda: len(desk.area.files("lendings")) > seen)
        traffic.end()
    finally:
        traffic.done.set()
        for loader in loaders:
            loader.kill()
            loader.communicate()
        if not kafka.is_running(1):
            kafka.restart()
    desk.load()
    traffic.check()
    print(
        f"\n{trials} trials: {traffic.sent:,} messages, {traffic.again} of them twice,"
        f" {traffic.poison} poison; each is a row, a dead letter or a duplicate, once"
    )


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
