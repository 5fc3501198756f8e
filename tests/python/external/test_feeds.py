"""Feeds as people write them, and as attackers do."""

from __future__ import annotations

import pytest
from external.conftest import REPOSITORY

from ingestion.external.feeds import InvalidFeed, read_feed

REAL = REPOSITORY.parent / "shared" / "data" / "external" / "rss"

needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is not there: {REAL}")


def read(name):
    return read_feed((REAL / name).read_bytes())


@needs_data
@pytest.mark.parametrize(
    ("name", "entries", "language"),
    [
        ("encoding.rss", 40, "pt-pt"),
        ("guardian.rss", 55, "en-gb"),
        ("heise.atom", 15, None),
        ("missing-fields.atom", 1, "en-US"),
        ("rss-1.rss", 69, None),
    ],
)
def test_all_entries_of_real_feeds_are_read(name, entries, language):
    feed = read(name)

    assert len(feed["entries"]) == entries
    assert feed["language"] == language
    assert all(entry["id"] or entry["link"] for entry in feed["entries"])


@needs_data
def test_other_encodings_than_utf_8_are_understood():
    entry = read("encoding.rss")["entries"][0]

    assert entry["title"] == "Mãe de utente é a nova presidente da Raríssimas"
    assert entry["published"] == "2018-01-03T13:47:00.000Z"


@needs_data
def test_atom_and_rss_1_have_the_same_fields_as_rss_2():
    atom, rdf = read("heise.atom")["entries"][0], read("rss-1.rss")["entries"][0]

    assert atom["published"] == "2016-02-01T16:22:00.000Z"  # in its zone it is 17:22
    assert atom["link"].startswith("http://www.heise.de/developer/meldung/Java")
    assert rdf["title"] == "Food for fungi"
    assert rdf["author"] == "Hines, P. J."
    assert rdf["published"] == "2017-06-15T17:29:47.000Z"


@needs_data
def test_what_is_missing_is_none_and_what_media_add_is_not_the_text():
    (bare,) = read("missing-fields.atom")["entries"]

    assert bare["id"] == "tag:github.com,2008:Repository/11167738/v3.9.0"
    assert [bare[name] for name in ("title", "link", "summary", "published")] == [None] * 4
    assert "Photograph" not in str(read("guardian.rss")["entries"][0]["content"])


BOMB = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<rss version="2.0"><channel><item><title>&b;</title></item></channel></rss>"""
FILE = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY f SYSTEM "file:///etc/passwd">]>
<rss version="2.0"><channel><item><title>&f;</title></item></channel></rss>"""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BOMB, "document type"),
        (FILE, "document type"),
        (b"<html><body>We are down</body></html>", "its root is 'html'"),
        (b"<rss><channel>", "is no XML"),
        (b"", "is no XML"),
        (b"\xff\xfe\x00garbage", "is no XML"),
        (b"<rss>" + b"<a>" * 100_000, "deeper"),
        (b'<?xml version="1.0" encoding="klingon"?><rss/>', "is no XML"),
        (b'{"json": true}', "is no XML"),
    ],
)
def test_what_is_no_feed_or_a_trap_is_refused(content, problem):
    with pytest.raises(InvalidFeed, match=problem):
        read_feed(content)


def test_a_link_is_the_alternate_one_wherever_it_stands():
    feed = b"""<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>t</title>
    <link rel="self" href="http://a/self"/><link href="http://a/it"/></entry></feed>"""

    assert read_feed(feed)["entries"][0]["link"] == "http://a/it"


def test_a_time_that_is_none_is_left_out():
    feed = b"""<rss><channel><item><title>t</title><pubDate>last week</pubDate></item>
    <item><title>u</title><pubDate>Sat, 07 Sep 2002 00:00:01 +0200</pubDate></item>
    </channel></rss>"""

    assert [entry["published"] for entry in read_feed(feed)["entries"]] == [
        None,
        "2002-09-06T22:00:01.000Z",
    ]
