"""What a database declares of a table stands in its contract; what its rows hold does not."""

from __future__ import annotations

import duckdb
import psycopg
import pytest
import yaml

from waypoint.services.postgres import running

TABLES = """
create type binding as enum ('hardcover', 'paperback');
create domain days as integer check (value > 0);
create table shelves (shelf text, place integer, note text, primary key (shelf, place));
create table books (
    id bigint primary key,
    shelf_id bigint not null,
    parent_id bigint references books (id),
    "binding" binding not null,
    "lendFor" days,
    isbn varchar(13) unique,
    code text check (code ~ '^[A-Z]{3}$'),
    price numeric(10, 2) check (price >= 0 and price <= 500),
    weight real,
    copies smallint check (copies between 1 and 20),
    tags text[],
    extra jsonb,
    amount numeric,
    bought date not null,
    sold timestamp,
    changed timestamptz,
    constraint sold_after_it_was_bought check (sold >= bought),
    check (lower(code) <> 'bad'),
    unique (shelf_id, code)
);
create table nameless (a integer, b text);
create view titles as select id, isbn from books;
insert into books (id, shelf_id, "binding", bought) values (1, 1, 'paperback', '2026-01-01');
"""


@pytest.fixture(scope="module")
def dsn(tmp_path_factory):
    with running(tmp_path_factory.mktemp("postgres")) as server:
        found = server.database("library")
        with psycopg.connect(found) as connection:
            connection.execute(TABLES)
        yield found


def drafted(desk, *arguments, **environment):
    ended = desk.waypoint("contracts", "import", "table", *arguments, **environment)
    assert ended.code == 0, ended.err
    return ended


def contract(desk, name):
    return yaml.safe_load((desk.root / "contracts" / f"{name}.yaml").read_text())


def columns(document):
    return {column["name"]: column for column in document["schema"][0]["properties"]}


def options(column):
    return column.get("logicalTypeOptions", {})


def test_a_table_at_a_url_gives_its_raw_contract(desk, dsn):
    ended = drafted(desk, dsn, "public.books", "--as", "app_books")
    document = contract(desk, "raw/app_books")
    found = columns(document)
    assert found["id"]["primaryKey"] is True
    assert found["shelf_id"]["required"] is True
    assert {n: (c["logicalType"], c["physicalType"]) for n, c in found.items()} == {
        "id": ("integer", "bigint"),
        "shelf_id": ("integer", "bigint"),
        "parent_id": ("integer", "bigint"),
        "binding": ("string", "varchar"),
        "lendFor": ("integer", "integer"),
        "isbn": ("string", "varchar"),
        "code": ("string", "varchar"),
        "price": ("number", "decimal(10,2)"),
        "weight": ("number", "double"),
        "copies": ("integer", "integer"),
        "tags": ("array", "varchar"),
        "extra": ("object", "varchar"),
        "amount": ("number", "decimal(38,9)"),
        "bought": ("date", "date"),
        "sold": ("timestamp", "timestamp"),
        "changed": ("timestamp", "timestamp"),
        "_deleted": ("boolean", "boolean"),
        "_source": ("string", "varchar"),
        "_batch": ("string", "varchar"),
        "_loaded_at": ("timestamp", "timestamp"),
    }
    (values,) = found["binding"]["quality"]
    assert values["arguments"]["validValues"] == ["hardcover", "paperback"]
    assert options(found["lendFor"]) == {"minimum": 1}
    assert options(found["code"]) == {"pattern": "^[A-Z]{3}$"}
    assert options(found["price"]) == {"minimum": 0, "maximum": 500}
    assert options(found["copies"]) == {"minimum": 1, "maximum": 20}
    # the scale of a bare numeric is nowhere to be read
    assert "amount is numeric at the source" in str(document["customProperties"])
    assert dsn not in (desk.root / "contracts/raw/app_books.yaml").read_text() + ended.out


def test_a_table_of_a_source_gets_a_staging_model_with_its_rules(desk, dsn):
    desk.put(
        "ingestion/sources.yml",
        "# mine\nshop:\n  kind: postgres\n  dsn: ${SHOP_DSN}\n  cursor: changed\n  tables:\n"
        "    shelves: shop_shelves  # as they stand\n\nother:\n  kind: files\n",
    )
    drafted(desk, "shop", "books", "--mart", "books", SHOP_DSN=dsn)
    assert (desk.root / "ingestion/sources.yml").read_text() == (
        "# mine\nshop:\n  kind: postgres\n  dsn: ${SHOP_DSN}\n  cursor: changed\n  tables:\n"
        "    shelves: shop_shelves  # as they stand\n    books: shop_books\n\nother:\n"
        "  kind: files\n"
    )
    document = contract(desk, "staging/stg_books")
    found = columns(document)
    assert list(found)[:4] == ["book_id", "shelf_id", "parent_id", "binding"]
    assert {"lend_for", "bought_date", "sold_at", "changed_at", "is_deleted"} <= set(found)
    assert found["isbn"]["unique"] is True
    assert found["parent_id"]["relationships"] == [{"to": "stg_books.book_id"}]
    rules = {rule["name"]: rule["query"] for rule in document["schema"][0]["quality"]}
    assert rules["sold_after_it_was_bought"] == (
        "select count(*) from {object} where not (sold_at >= bought_date)"
    )
    assert rules["books_code_check1"] == (
        "select count(*) from {object} where not (lower(code) <> 'bad')"
    )
    assert "group by shelf_id, code" in rules["shelf_id_and_code_are_unique_together"]
    sql = (desk.root / "models/staging/stg_books.sql").read_text()
    assert "order by changed desc, _loaded_at desc, _batch desc" in sql
    assert "is_not_outdated('typed', 'book_id', changed_at='changed_at')" in sql
    assert '"lendFor" as lend_for' in sql
    assert "is_deleted" not in columns(contract(desk, "marts/books"))


def test_a_table_without_the_sources_cursor_is_read_whole(desk, dsn):
    desk.put(
        "ingestion/sources.yml",
        "shop:\n  kind: postgres\n  dsn: ${SHOP_DSN}\n  cursor: changed\n  tables:\n    a: b\n",
    )
    drafted(desk, "shop", "shelves", SHOP_DSN=dsn)
    text = (desk.root / "ingestion/sources.yml").read_text()
    assert text.endswith("    a: b\n    shelves: {table: shop_shelves, cursor: null}\n")
    found = columns(contract(desk, "staging/stg_shelves"))
    assert [found[name]["primaryKeyPosition"] for name in ("shelf", "place")] == [1, 2]
    sql = (desk.root / "models/staging/stg_shelves.sql").read_text()
    assert "unique_key=['shelf', 'place']" in sql


def test_again_it_keeps_all_and_says_so(desk, dsn):
    arguments = ("SHOP_DSN", "books", "--source", "shop")
    drafted(desk, *arguments, SHOP_DSN=dsn)
    sql = desk.put("models/staging/stg_books.sql", "-- mine\n")
    again = desk.waypoint("contracts", "import", "table", "shop", "books", SHOP_DSN=dsn)
    assert again.code == 2
    assert "nothing was written" in again.err
    more = drafted(desk, "shop", "books", "--mart", "books", SHOP_DSN=dsn)
    assert "kept models/staging/stg_books.sql" in more.out
    assert sql.read_text() == "-- mine\n"


def test_a_dry_run_of_a_whole_import_writes_nothing(desk, dsn):
    arguments = ("SHOP_DSN", "books", "--source", "shop", "--dry-run", "--json")
    ended = drafted(desk, *arguments, SHOP_DSN=dsn)
    assert ended.json["dry_run"] is True
    assert "ingestion/sources.yml" in ended.json["written"]
    assert sorted(path.name for path in desk.root.iterdir()) == ["dbt_project.yml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("SHOP_DSN", "boks"), "did you mean books?"),
        (("SHOP_DSN", "nameless", "--source", "shop"), "no primary key"),
        (("SHOP_DSN", "nameless", "--source", "shop", "--key", "c"), "no column 'c'"),
        (("SHOP_DSN", "books", "--by", "bought"), "--by is about a mart"),
        (
            ("SHOP_DSN", "books", "--source", "s", "--mart", "m", "--by", "x"),
            "has no such column",
        ),
        (("nowhere", "books"), "no DuckDB file"),
        (("postgresql://me:hidden1@localhost:1/x", "books"), "does not answer"),
    ],
)
def test_what_is_not_there_is_told_and_nothing_is_written(desk, dsn, arguments, said):
    ended = desk.waypoint("contracts", "import", "table", *arguments, SHOP_DSN=dsn)
    assert ended.code in (2, 3)
    assert said in ended.err
    assert "hidden1" not in ended.err
    assert not (desk.root / "contracts").exists()


def test_a_key_that_the_database_does_not_declare_can_be_named(desk, dsn):
    drafted(desk, "SHOP_DSN", "titles", "--source", "shop", "--key", "id", SHOP_DSN=dsn)
    assert columns(contract(desk, "staging/stg_titles"))["title_id"]["primaryKey"] is True


def test_a_table_of_a_duckdb_file_keeps_its_own_schema(desk):
    file = desk.root / "shop.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "create schema marts;"
            "create table marts.shops (name varchar primary key);"
            "create table marts.sales (id bigint primary key, shop varchar not null"
            " references marts.shops (name), cents hugeint check (cents >= 0),"
            " kind enum ('cash', 'card'), sold_at timestamptz);"
            "comment on table marts.sales is 'What was sold.';"
            "comment on column marts.sales.cents is 'Price in cents.';"
        )
    drafted(desk, file, "sales")
    document = contract(desk, "marts/sales")
    found = columns(document)
    assert document["description"]["purpose"] == "What was sold."
    assert found["cents"]["description"] == "Price in cents."
    assert found["cents"]["physicalType"] == "decimal(38,0)"
    assert options(found["cents"]) == {"minimum": 0}
    assert found["shop"]["required"] is True
    assert found["shop"]["relationships"] == [{"to": "shops.name"}]
    assert found["kind"]["quality"][0]["arguments"]["validValues"] == ["cash", "card"]
    assert "cents is hugeint" in str(document["customProperties"])
    assert "_loaded_at" not in found
