"""CSV files land once; every line of them lands or is kept with its place and the reason."""

from __future__ import annotations

import csv
import io
import os
import shutil
import time
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waypoint.errors import Unavailable, UnusableInput

HEADER = "id,name,amount,day\n"
COLUMNS = {
    "id": "bigint required",
    "name": "varchar",
    "amount": "decimal(12,2) required",
    "day": "date",
    "_file": "varchar",
    "_line": "bigint",
}


@pytest.fixture
def sales(world):
    world.contract("sales", COLUMNS)
    return world


def extract(world, drops, **settings):
    return world.extract("files", folder=str(drops.folder), table="sales", **settings)


def test_rows_land_with_file_and_line(sales, drops):
    drops.write("may/a.csv", HEADER + "1,Ada,12.50,2026-05-01\n2,Bo,0.99,\n")

    (outcome,) = extract(sales, drops)

    assert (outcome.read, outcome.landed, outcome.rejected) == (2, 2, 0)
    assert sales.landed("sales", "id, name, amount, day::varchar, _file, _line, _source") == [
        (1, "Ada", Decimal("12.50"), "2026-05-01", "may/a.csv", 2, "test"),
        (2, "Bo", Decimal("0.99"), None, "may/a.csv", 3, "test"),
    ]


def test_a_bad_row_is_quarantined_with_file_line_field_value_and_reason(sales, drops):
    drops.write("a.csv", HEADER + '1,Ada,"12,34.5",\n2,Bo,7,\n')

    (outcome,) = extract(sales, drops)

    assert (outcome.landed, outcome.rejected) == (1, 1)
    assert sales.rejected("file, line, field, value, reason, payload") == [
        (
            "a.csv", 2, "amount", "12,34.5",
            "amount: '12,34.5' is not a number with at most 2 decimal places (e.g. 1234.50)",
            '{"id":"1","name":"Ada","amount":"12,34.5","day":null}',
        )
    ]  # fmt: skip


def test_thousands_separators_are_read(sales, drops):
    drops.write("a.csv", HEADER + '1,Ada,"1,234,567.50",\n')

    extract(sales, drops)

    assert sales.landed("sales", "amount") == [(Decimal("1234567.50"),)]


def test_a_file_dropped_twice_lands_once(sales, drops):
    first = drops.write("a.csv", HEADER + "1,Ada,1,\n2,Bo,x,\n")
    extract(sales, drops)
    files = sales.files()
    shutil.copy(first, drops.folder / "again.csv")
    os.utime(first)

    outcomes = extract(sales, drops)

    assert [(o.read, o.unchanged, o.batch) for o in outcomes] == [(2, 2, None), (2, 2, None)]
    assert sales.files() == files


def test_a_file_that_is_known_is_not_read_again(sales, drops):
    drops.write("a.csv", HEADER + "1,Ada,1,\n")
    extract(sales, drops)

    assert extract(sales, drops) == []


def test_two_files_that_differ_in_one_byte_both_land(sales, drops):
    drops.write("a.csv", HEADER + "1,Ada,1,\n")
    drops.write("b.csv", HEADER + "1,Ada,2,\n")

    extract(sales, drops)

    assert len(sales.landed("sales")) == 2


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_told_apart(sales, drops, encoding, line_end):
    # euro is in cp1252 only, and the control character below in latin-1 only
    name = {"cp1252": "Café €", "latin-1": "Caf\xe9 \x81"}.get(encoding, "Café €")
    text = HEADER + f"1,{name},1,\n2,Bo,2,\n"
    drops.write("a.csv", text.replace("\n", line_end), encoding)

    extract(sales, drops)

    assert sales.rejected("reason") == []
    assert sales.landed("sales", "name, _line") == [("Bo", 3), (name, 2)]


def test_a_given_encoding_is_taken(sales, drops):
    drops.write("a.csv", HEADER + "1,Ωμέγα,1,\n", "iso8859-7")

    extract(sales, drops, encoding="iso8859-7")

    assert sales.landed("sales", "name") == [("Ωμέγα",)]


def test_a_broken_byte_rejects_its_row_only(sales, drops):
    text = HEADER + "1,Zoë,1,\n2,b\xff\xffd,2,\n3,Chloé,3,\n"
    drops.write("a.csv", text.encode("utf-8").replace("\xff\xff".encode(), b"\xff\xff"))

    extract(sales, drops)

    assert sales.landed("sales", "id, name") == [(1, "Zoë"), (3, "Chloé")]
    assert sales.rejected("line, field, rule") == [(3, "name", "text_is_decodable")]


def test_nul_bytes_reject_their_row_only(sales, drops):
    drops.write("a.csv", HEADER + "1,A\0da,1,\n2,Bo,2,\n")

    extract(sales, drops)

    assert sales.landed("sales", "id") == [(2,)]
    assert sales.rejected("line, field, value, rule") == [(2, "name", "A\\0da", "text_has_no_nul")]


def test_a_quoted_newline_belongs_to_its_row_and_lines_are_still_right(sales, drops):
    drops.write("a.csv", HEADER + '1,"two\r\nlines, and ""quotes""",1,\n2,Bo,x,\n')

    extract(sales, drops)

    assert sales.landed("sales", "name, _line") == [('two\r\nlines, and "quotes"', 2)]
    assert sales.rejected("line, field") == [(4, "amount")]


@pytest.mark.parametrize(
    "broken",
    [
        "2,Bo,2\n",  # a field too few
        "2,Bo,2,,\n",  # a field too many
        '2,"Bo,2,\n',  # a quote that nobody closes
        '2,"Bo"x,2,\n',
        '2,Bo,2,"\n',
    ],
)
def test_a_broken_line_costs_no_other_line(sales, drops, broken):
    drops.write("a.csv", HEADER + "1,Ada,1,\n" + broken + '3,"Cy",3,\n4,Di,4,\n')

    (outcome,) = extract(sales, drops)

    assert sales.landed("sales", "id, _line") == [(1, 2), (3, 4), (4, 5)]
    assert sales.rejected("line, payload") == [(3, broken)]
    assert outcome.read == 4


def test_an_open_quote_at_the_end_of_a_long_file_costs_one_line(sales, drops):
    rows = "".join(f"{i},n{i},1,\n" for i in range(3, 5003))
    drops.write("a.csv", HEADER + '2,"open,1,\n' + rows)

    (outcome,) = extract(sales, drops)

    assert (outcome.landed, outcome.rejected) == (5000, 1)
    assert sales.rejected("line, reason") == [
        (2, "not CSV: a quote is not closed within 1,000 lines")
    ]


def test_blank_lines_are_no_rows(sales, drops):
    drops.write("a.csv", HEADER + "\n1,Ada,1,\n   \n\n2,Bo,2,\n\n")

    (outcome,) = extract(sales, drops)

    assert (outcome.read, outcome.landed) == (2, 2)
    assert sales.landed("sales", "id, _line") == [(1, 3), (2, 6)]


def test_a_header_without_rows_is_a_file_of_no_rows(sales, drops):
    drops.write("a.csv", HEADER)

    (outcome,) = extract(sales, drops)

    assert (outcome.read, outcome.landed, outcome.rejected) == (0, 0, 0)
    assert extract(sales, drops) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the whole file: the file is empty"),
        (b"\xef\xbb\xbf", "the whole file: the file is empty"),
        ("id,name,day\n1,Ada,\n", "the whole file: missing columns: amount"),
        ("id,name,amount,Name\n1,A,1,B\n", "the whole file: column name stands 2 times"),
        ('"id,name\n1,2\n', "the whole file: the header cannot be read: unexpected end of data"),
        ("1,Ada,1,2026-01-01\n", "the whole file: the first line names no column of sales"),
        (bytes(range(256)) * 40, "the whole file: the first line names no column of sales"),
    ],
)
def test_an_unusable_file_is_quarantined_whole_with_its_reason(sales, drops, content, reason):
    drops.write("bad.csv", content)
    drops.write("good.csv", HEADER + "1,Ada,1,\n")

    outcomes = extract(sales, drops)

    assert sorted((o.read, o.landed, o.rejected) for o in outcomes) == [(1, 0, 1), (1, 1, 0)]
    ((file, line, words),) = sales.rejected("file, line, reason")
    assert (file, line) == ("bad.csv", 1)
    assert words.startswith(reason)


def test_columns_are_found_whatever_their_order_case_and_delimiter(sales, drops):
    drops.write("a.csv", 'Amount;"ID";Colour; Name \n1.5;7;red;Ada\n')

    (outcome,) = extract(sales, drops)

    assert sales.landed("sales", "id, name, amount") == [(7, "Ada", Decimal("1.50"))]
    assert outcome.drift == (
        "a.csv: column 'Colour' is not in the contract",
        "a.csv: column 'day' is not in the file",
    )


def test_a_large_file_lands_in_parts_and_goes_on_where_it_was_killed(sales, drops, monkeypatch):
    monkeypatch.setattr("ingestion.csvfiles._CHUNK_ROWS", 100)
    drops.write("a.csv", HEADER + "".join(f"{i},n,1,\n" for i in range(250)))
    (*_, last) = extract(sales, drops)
    sales.area.path("sales", last.batch).unlink()  # as if killed before the last part

    outcomes = extract(sales, drops)

    assert [(o.read, o.landed, o.unchanged) for o in outcomes] == [
        (100, 0, 100), (100, 0, 100), (50, 50, 0),
    ]  # fmt: skip
    assert sorted(sales.landed("sales", "id")) == [(number,) for number in range(250)]
    assert extract(sales, drops) == []


def test_a_file_that_is_still_written_is_left_for_the_next_run(sales, drops):
    path = drops.write("a.csv", HEADER + "1,Ada,1,\n")
    drops.write("old.csv", HEADER + "2,Bo,2,\n")
    os.utime(drops.folder / "old.csv", (1, 1))
    steps = []

    def write_more(seconds):
        steps.append(seconds)
        with path.open("a") as file:
            file.write("3,Cy")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingestion.inbox.time.sleep", write_more)
        extract(sales, drops, settle="5 s")

    assert len(steps) == 1
    assert sales.landed("sales", "id") == [(2,)]


def test_files_that_have_settled_are_not_waited_for(sales, drops):
    path = drops.write("a.csv", HEADER + "1,Ada,1,\n")
    os.utime(path, (time.time() - 60,) * 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingestion.inbox.time.sleep", lambda _: pytest.fail("waited"))
        assert len(extract(sales, drops, settle="30 s")) == 1


def test_a_file_that_is_changed_while_it_is_read_lands_nothing(sales, drops):
    path = drops.write("a.csv", HEADER + "1,Ada,1,\n")

    with pytest.MonkeyPatch.context() as patch:
        from ingestion.extractors import files

        reading = files.read_rows

        def read_and_write(*arguments):
            path.write_text(HEADER + "2,Bo,2,\n3,Cy,3,\n")
            return reading(*arguments)

        patch.setattr(files, "read_rows", read_and_write)
        with pytest.raises(Unavailable, match="changed while it was read"):
            extract(sales, drops)

    assert sales.landed("sales") == []
    extract(sales, drops)
    assert sales.landed("sales", "id") == [(2,), (3,)]


def test_hidden_files_and_other_names_are_left_alone(sales, drops):
    drops.write(".a.csv", HEADER + "1,Ada,1,\n")
    drops.write("a.csv.part", HEADER + "1,Ada,1,\n")

    assert extract(sales, drops) == []


def test_wrong_settings_are_said(sales, drops):
    with pytest.raises(UnusableInput, match=r"no contract for raw\.purchases"):
        sales.extract("files", folder=str(drops.folder), table="purchases")
    with pytest.raises(UnusableInput, match="is not a folder"):
        sales.extract("files", folder=str(drops.folder / "none"), table="sales")
    drops.write("a.csv", HEADER)
    with pytest.raises(UnusableInput, match="'klingon' is no encoding"):
        extract(sales, drops, encoding="klingon")


def test_naughty_strings_land_as_they_are(sales, drops, naughty_strings):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "name", "amount"])
    for number, string in enumerate(naughty_strings):
        writer.writerow([number, string, "1"])
    drops.write("blns.csv", text.getvalue())

    (outcome,) = extract(sales, drops)

    landed = dict(sales.landed("sales", "id, name"))
    assert outcome.read == len(naughty_strings)
    for number, string in enumerate(naughty_strings):
        if number in landed:
            assert landed[number] == (string or None)
        else:
            assert "\0" in string or "\ufffd" in string


CELLS = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(-99, 99).map(str), CELLS, st.sampled_from(["1", "1.5", "x"])),
            st.lists(CELLS, max_size=5).map(tuple),
        ),
        max_size=20,
    )
)
def test_every_row_of_a_well_formed_file_is_accounted_for(tmp_path_factory, world, rows):
    folder = tmp_path_factory.mktemp("drop")
    fresh = type(world)(folder / "state")
    fresh.contract("sales", COLUMNS)
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "amount"])
        writer.writerows(rows)

    (outcome,) = fresh.extract("files", folder=str(folder), table="sales")

    blank = [row for row in rows if len(row) != 3 and not any(cell.strip() for cell in row)]
    assert outcome.read == len(rows) - len(blank)
    assert len(fresh.landed("sales")) + len(fresh.rejected()) == outcome.read


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_no_bytes_whatever_end_in_an_unforeseen_error(tmp_path_factory, world, content):
    folder = tmp_path_factory.mktemp("drop")
    fresh = type(world)(folder / "state")
    fresh.contract("sales", COLUMNS)
    (folder / "a.csv").write_bytes(b"id,amount\n" + content)

    for outcome in fresh.extract("files", folder=str(folder), table="sales"):
        assert len(fresh.landed("sales")) == outcome.landed
        assert len(fresh.rejected()) == outcome.rejected
