"""All of the data sets: what is read, and where it is put."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from real_input import database
from real_input.changes import Debezium
from real_input.dumps import Dumps
from real_input.hotel import Hotel
from real_input.ledger import JaffleShop
from real_input.logs import Loghub
from real_input.olist import Olist
from real_input.places import CitiBike, Foursquare, MovieLens
from real_input.vega import Vega
from real_input.web import AccessLog, GitHub, Rees46

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class DataSets:
    """What is read, and what is true of it."""

    folder: Path

    @cached_property
    def olist(self) -> Olist:
        return Olist(self.folder / "commerce")

    @cached_property
    def jaffle_shop(self) -> JaffleShop:
        return JaffleShop(self.folder / "commerce/jaffle_shop_classic")

    @cached_property
    def hotel(self) -> Hotel:
        return Hotel(self.folder / "bookings/hotel_bookings_h1.csv.gz")

    @cached_property
    def foursquare(self) -> Foursquare:
        return Foursquare(self.folder / "places/foursquare_nyc_checkins/foursquare_nyc.csv.gz")

    @cached_property
    def movielens(self) -> MovieLens:
        return MovieLens(self.folder / "places/movielens_latest_small_2016/ratings.csv")

    @cached_property
    def citibike(self) -> CitiBike:
        return CitiBike(self.folder / "places/citibike/trips-2024-03-02.parquet")

    @cached_property
    def vega(self) -> Vega:
        return Vega(self.folder / "external/vega")

    @cached_property
    def loghub(self) -> Loghub:
        return Loghub(self.folder / "logs/loghub_2k")

    @cached_property
    def debezium(self) -> Debezium:
        return Debezium(self.folder / "cdc/debezium")

    @cached_property
    def github(self) -> GitHub:
        return GitHub(self.folder / "events/gharchive_2021_07_21/2021-07-21-few-hours.json.gz")

    @cached_property
    def rees46(self) -> Rees46:
        folder = self.folder / "clickstream/rees46_ecommerce_behaviour_2019_10"
        return Rees46(folder / "2019-Oct-sample.csv")

    @cached_property
    def access_log(self) -> AccessLog:
        return AccessLog(self.folder / "clickstream/apache_access_log_elastic/apache_logs.gz")

    def rows(self) -> dict[str, int]:
        """By raw table, how many rows and messages the data sets give; tables left out get none."""
        return {
            "app_users": len(set(self.olist.user_ids.values())) + self.hotel.users(),
            "app_products": len(self.olist.products),
            "app_orders": len(self.olist.orders),
            "app_order_items": len(self.olist.items),
            "app_bookings": len(self.hotel.bookings),
            "app_payments": len(self.olist.payments),
            "stripe_charges": len(self.olist.payments),
            "transactions": len(self.jaffle_shop.payments),
            "user_interactions": len(self.foursquare.checkins) + len(self.movielens.ratings),
            "place_updates": len(self.foursquare.places),
            "location_events": 2 * self.citibike.trips(),
            "market_quotes": 4 * len(self.vega.sp500) + len(self.vega.stocks),
            "external_data": len(self.vega.days) + len(self.vega.hours),
            "app_logs": 8 * 2000,
            "app_events": len(self.github.events) + len(self.access_log.lines),
            "clickstream": len(self.rees46.events),
            "cdc_changes": len(self.debezium.messages),
        }

    def dump(self, folder: Path) -> None:
        """Write what is carried by topics as dumps of them."""
        dumps = Dumps(folder)
        for messages in (
            self.foursquare,
            self.movielens,
            self.citibike,
            self.vega,
            self.loghub,
            self.debezium,
            self.github,
            self.rees46,
            self.access_log,
        ):
            messages.dump(dumps)

    def fill_database(self, dsn: str) -> None:
        """Put what an operational database holds into one."""
        tables = {
            "users": chain(self.olist.user_rows(), self.hotel.user_rows()),
            "products": self.olist.product_rows(),
            "orders": self.olist.order_rows(),
            "order_items": self.olist.item_rows(),
            "bookings": self.hotel.booking_rows(),
            "payments": self.olist.payment_rows(),
        }
        database.fill(dsn, ROOT / "scenario/travel_booking.sql", tables)
