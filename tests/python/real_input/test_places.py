"""Real check-ins, ratings and positions come out as they are, sentinels and old clocks included."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from duckdb import DuckDBPyConnection
from real_input.datasets import DataSets

pytestmark = [pytest.mark.real_input, pytest.mark.timeout(900)]

NEWEST = "qualify row_number() over (partition by place_id order by day desc) = 1"


def test_visits_by_place(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    staged = warehouse.execute(
        "select place_id, count(*) from staging.stg_user_interactions"
        " where interaction_type = 'visit' group by place_id"
    ).fetchall()
    features = warehouse.execute(
        f"select place_id, visits from ml_features.place_features {NEWEST}"
    ).fetchall()
    expected = data.foursquare.visits_by_place()
    assert dict(staged) == expected
    assert {place: visits for place, visits in features if visits} == expected


def test_visits_have_a_place_in_the_grid(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    ((visits, located),) = warehouse.execute(
        "select count(*), count(*) filter (starts_with(geohash, 'dr')) "  # around New York
        "from staging.stg_user_interactions where interaction_type = 'visit'"
    ).fetchall()
    assert visits == located == len(data.foursquare.checkins)


def test_places_without_sentinels_are_known_with_rating_and_price(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select place_id, rating, price_level from marts.dim_places"
    ).fetchall()
    expected = data.foursquare.places_without_sentinels()
    assert {place: (rating, price) for place, rating, price in rows} == {
        # ratings of places are kept to a tenth
        place: (Decimal(str(rating)).quantize(Decimal("0.1"), ROUND_HALF_UP), price)
        for place, (rating, price) in expected.items()
    }


def test_places_with_sentinels_are_in_quarantine(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select json_extract_string(payload, '$.place_id'), value from raw.quarantine"
        " where table_name = 'place_updates'"
    ).fetchall()
    assert {place for place, _ in rows} == data.foursquare.places_with_sentinels()
    assert len(rows) == len(data.foursquare.places_with_sentinels())
    assert {float(value) for _, value in rows} == {-999.0}


def test_ratings_by_stars(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select rating, count(*) from staging.stg_user_interactions"
        " where interaction_type = 'rating' group by rating"
    ).fetchall()
    assert {float(rating): count for rating, count in rows} == data.movielens.by_stars()


def test_ratings_and_their_sum_by_place(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select place_id, count(*), sum(rating) from staging.stg_user_interactions"
        " where interaction_type = 'rating' group by place_id"
    ).fetchall()
    assert {place: (count, stars) for place, count, stars in rows} == data.movielens.by_place()


def test_ratings_from_the_nineties_count_in_features(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    """Only a clock that was never set shows a time before 1980; the oldest ratings are of 1996."""
    ((old,),) = warehouse.execute(
        "select count(*) from staging.stg_user_interactions where not is_time_plausible"
    ).fetchall()
    rows = warehouse.execute(
        "select place_id, ratings, rating_sum, mean_rating from ml_features.place_features"
        f" {NEWEST}"
    ).fetchall()
    expected = data.movielens.by_place()
    assert min(int(rating["timestamp"]) for rating in data.movielens.ratings) < 946_684_800
    assert old == 0
    assert {place: (ratings, stars) for place, ratings, stars, _ in rows if ratings} == expected
    for place, _, _, mean in rows:
        if place in expected:
            count, stars = expected[place]
            assert mean == pytest.approx(float(stars) / count, abs=1e-12)


def test_positions_by_hour(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select date_trunc('hour', located_at), count(*) from staging.stg_location_events"
        " group by all"
    ).fetchall()
    assert dict(rows) == data.citibike.positions_by_hour()


def test_positions_by_cell_of_the_grid(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select geohash, count(*) from staging.stg_location_events group by geohash"
    ).fetchall()
    assert dict(rows) == data.citibike.positions_by_cell()


def test_each_trip_has_a_rider(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select events, count(*) from (select count(*) as events from staging.stg_location_events"
        " group by user_id) group by events"
    ).fetchall()
    assert rows == [(2, data.citibike.trips())]
