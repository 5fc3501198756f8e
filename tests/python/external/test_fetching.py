"""Every way in which a service can behave: what is published, and what is said of the rest."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from external.conftest import BRANCHES, NOW, SLIPS

from waypoint.errors import Exit, WaypointError
from waypoint.simulator.sandbox.faults import Fault

ALL = BRANCHES * SLIPS


def first(fault, times=1, part=""):
    """The fault befalls the first requests of each address that has `part` in it."""
    return lambda number, path: fault if number <= times and part in path else None


def ids(messages):
    return [message["value"]["slip"] for message in messages]


def test_all_pages_of_all_requests_become_messages_of_the_topic(branches):
    fetching = branches.fetch()

    assert (fetching.requests, fetching.pages) == (BRANCHES, BRANCHES * 3)
    assert (fetching.published, fetching.rejected, fetching.failed) == (ALL, 0, ())
    message = branches.messages()[0]
    assert message["topic"] == "lending-slips"
    assert message["key"] == message["value"]["card"]
    assert set(message["value"]) == {"slip", "card", "shelfmark", "lent", "days"}
    assert {m["value"]["days"] for m in branches.messages()} <= {7, 14, 21, 28}
    assert len(set(ids(branches.messages()))) == ALL


def test_requests_are_made_in_parallel_but_not_more_than_the_entry_allows(branches):
    branches.change("  items: data.slips", "  parallel: 3\n  items: data.slips")
    slow = Fault(stall=0.15)

    branches.fetch(faults=lambda _number, _path: slow)

    assert branches.sandbox.most_at_once == 3


def test_what_is_fetched_twice_has_the_same_ids_and_later_offsets(branches):
    branches.fetch()
    before = branches.messages()
    branches.fetch(moment=NOW.replace(minute=30))
    after = branches.messages()

    assert sorted(ids(after)) == sorted([*ids(before), *ids(before)])
    assert [m["offset"] for m in after] == list(range(2 * ALL))
    assert {m["partition"] for m in after} == {1}  # the contract's only one is a broker's


def test_publishing_the_same_fetch_again_changes_nothing(branches):
    first_time = branches.fetch()
    again = branches.fetch()

    assert again.where == first_time.where
    assert len(branches.messages()) == ALL


def test_offsets_go_on_where_the_files_were_taken_away(branches):
    branches.fetch()
    assert branches.library.waypoint("land").code == 0
    for path in branches.topic.glob("p*.ndjson"):
        path.unlink()

    branches.fetch(moment=NOW.replace(minute=30))

    assert branches.messages()[0]["offset"] == ALL


def test_a_rate_limit_is_waited_out_as_long_as_the_server_asks(branches):
    began = time.monotonic()
    limited = Fault(429, retry_after="1")

    fetching = branches.fetch(faults=first(limited, part="South/slips?per_page=10&page=2"))

    assert time.monotonic() - began >= 1
    assert (fetching.published, fetching.failed) == (ALL, ())


def test_a_rate_limit_longer_than_our_patience_costs_that_request_only(branches):
    limited = Fault(429, retry_after="3600")

    fetching = branches.fetch(faults=first(limited, part="South"))

    assert fetching.published == ALL - SLIPS
    assert "asks to come back in 3600 s" in fetching.failed[0]
    assert fetching.exit_code == Exit.UNAVAILABLE


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500),
        Fault(503, retry_after="0"),
        Fault(silent=True),
        Fault(silent=True, stall=1.2),
        Fault(garbage=True),
        Fault(cut=True),
        Fault(partial=True),
    ],
    ids=["500", "503", "hung up", "timed out", "garbage", "cut short", "partial"],
)
def test_what_goes_wrong_once_is_tried_again(branches, fault):
    fetching = branches.fetch(faults=first(fault, part="page=2"))

    assert (fetching.published, fetching.rejected, fetching.failed) == (ALL, 0, ())


def test_a_page_that_never_comes_costs_what_is_behind_it_only(branches):
    dead = first(Fault(500), times=99, part="North/slips?per_page=10&page=2")

    fetching = branches.fetch(faults=dead)

    assert fetching.published == ALL - 15  # the first ten of the branch came
    assert len(fetching.failed) == 1
    assert "answered 500 to 3 requests" in fetching.failed[0]


def test_an_answer_that_stays_garbage_is_in_quarantine(branches):
    fetching = branches.fetch(faults=first(Fault(garbage=True), times=99, part="East"))
    branches.fetch(faults=first(Fault(garbage=True), times=99, part="East"))

    assert (fetching.published, fetching.rejected) == (ALL - SLIPS, 1)
    (row,) = branches.quarantine()  # the same garbage again is there already
    assert row["rule"] == "answer_is_readable"
    assert "is not JSON" in row["reason"]
    assert "down for maintenance" in row["payload"]
    assert (row["table_name"], row["source"]) == ("lendings", "branch_slips")


def test_a_server_that_is_dead_is_not_asked_for_ever(branches):
    branches.change(
        "each: [{branch: North}",
        "each: [" + ", ".join(f"{{branch: B{n}}}" for n in range(20)) + ", {branch: North}",
    )
    branches.change("  items: data.slips", "  parallel: 1\n  items: data.slips")

    fetching = branches.fetch(sandbox="http://127.0.0.1:1")

    assert fetching.published == 0
    assert len(fetching.failed) == 20 + BRANCHES
    assert "cannot be reached" in fetching.failed[0]
    assert "not asked, since 5 requests before it got no answer" in fetching.failed[-1]
    assert fetching.exit_code == Exit.UNAVAILABLE


def test_what_breaks_the_contract_is_rejected_with_the_reason_and_the_rest_is_published(branches):
    branches.change("as: integer, scale: 7, round: 0", "as: integer, lookup: {1: 0}, otherwise: 14")

    fetching = branches.fetch()

    rejected = branches.quarantine()
    assert 0 < len(rejected) < ALL
    assert fetching.rejected == len(rejected)
    assert fetching.published == ALL - len(rejected) == len(branches.messages())
    assert {row["field"] for row in rejected} == {"days"}
    places = {(row["partition"], row["message_offset"]) for row in rejected}
    assert len(places) == len(rejected)
    assert not places & {(m["partition"], m["offset"]) for m in branches.messages()}


def test_a_record_that_does_not_fit_its_rule_is_rejected_as_it_was_sent(branches):
    branches.write(
        "scenario/branch_answer.sql",
        'select unnest([\'{"number": 1, "card": "C1", "shelf": "A", "place": 1,'
        ' "weeks": "many", "lentAt": 5}\', \'{"number": 2, "card": "C1", "weeks": 1,'
        ' "lentAt": 5}\', \'{"card": "C1", "shelf": "A", "place": 1, "weeks": 1}\','
        ' \'7\', \'{"number": 3, "card": "C1", "shelf": "A", "place": 1, "weeks": 1,'
        ' "lentAt": 1e300}\']) as item',
    )

    fetching = branches.fetch()

    assert fetching.published == 0
    said = {row["reason"] for row in branches.quarantine()}
    assert any("'many' is not a number" in reason for reason in said)
    assert any("nothing in the item names it" in reason for reason in said)
    assert any("data.card: is missing" in reason for reason in said)
    assert any("is not a time" in reason for reason in said)
    assert any("shelfmark" in reason for reason in said)  # the contract's, of what became a message
    assert fetching.rejected == 5 * BRANCHES


def test_a_key_goes_with_the_request_and_is_never_shown(branches):
    fetching = branches.fetch("archive", key="s3cr3t&key")
    assert fetching.published == SLIPS
    assert all("key=s3cr3t%26key" in path for path in branches.sandbox.requests)

    refused = branches.fetch("archive", key="s3cr3t&key", faults=lambda _n, _p: Fault(garbage=True))

    assert refused.failed
    assert "s3cr3t" not in str(refused) + str(branches.quarantine())


def test_headers_that_everybody_sends_do_not_hide_what_is_said_of_a_failure(branches):
    branches.change("  items: data.slips", "  headers: {Accept-Language: a}\n  items: data.slips")

    fetching = branches.fetch(faults=lambda _n, _p: Fault(status=404))

    assert "answered 404: a fault that was asked for" in fetching.failed[0]


def test_feeds_are_read_as_lists_are(branches):
    fetching = branches.fetch("bus_feed")

    assert (fetching.published, fetching.failed) == (5, ())
    assert branches.messages()[0]["value"]["shelfmark"] == "M 0 & more"


def test_a_feed_cut_short_is_told_and_kept(branches):
    fetching = branches.fetch("bus_feed", faults=lambda _n, _p: Fault(partial=True))

    assert "is no XML" in fetching.failed[0]
    assert branches.quarantine()[0]["payload"].startswith("<?xml")


def test_an_interrupted_publish_leaves_nothing_and_the_next_one_is_whole(branches, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(WaypointError, match="cannot be written to"):
            branches.fetch()
    (branches.topic / ".p1-1-1-x.ndjson.publishing1").write_text("half")  # of one that was killed
    assert branches.messages() == []

    branches.fetch()

    assert len(branches.messages()) == ALL
    assert not list(branches.topic.glob(".p*.ndjson*"))


def test_publishers_at_the_same_time_share_no_offset(branches):
    with ThreadPoolExecutor(8) as pool:
        moments = [NOW.replace(minute=minute) for minute in range(8)]
        list(pool.map(lambda moment: branches.fetch("bus_feed", moment=moment), moments))

    places = [(m["partition"], m["offset"]) for m in branches.messages()]
    assert len(places) == 8 * 5
    assert [offset for _, offset in places] == list(range(40))
