-- What many of the scenario's queries share.

-- Between 0 and 1: how busy people are at a time (UTC). Evenings more than mornings, weekends more
-- than weekdays.
create macro rhythm(moment) as
    (0.5 - 0.5 * cos(2 * pi() * (hour(moment) + minute(moment) / 60.0 - 5) / 24))
    * case when dayofweek(moment) in (0, 6) then 1.0 else 0.85 end;

-- How the business has grown since the period began: a factor, 1 at first, at most doubled.
create macro growth(moment) as
    least(2.0, 1 + setting.daily_growth() * (epoch(moment) - epoch(play.start())) / 86400.0);

-- Whether something that happens at `moment` is played: all of it in the full part, a share before.
create macro is_kept(stream, key, moment) as
    moment > play.full_from() or chance(stream || ' is kept', key) < setting.history_share();

-- Days (UTC) between the period's first day and the day of a time.
create macro day_of_play(moment) as
    datediff('day', play.start(), moment);

-- Whether something of a dirty day is one of the few that are wrong.
create macro is_dirtied(stream, key) as
    chance(stream || ' is dirty', key) < setting.dirty_share();

-- Whether a time lies in the dirty day that is so many days into the period, or comes round again
-- after as many weeks as `dirty_days_repeat_after` days are.
create macro is_dirty(moment, day) as
    day_of_play(moment) % setting.dirty_days_repeat_after() = day;

-- A message as it is in the domain's dirty day: a share of them with one of the `patches` applied
-- (JSON; a null takes a field away).
create macro dirtied(message, stream, key, moment, dirty_day, patches) as
    case
        when is_dirty(moment, dirty_day) and is_dirtied(stream, key)
        then json_merge_patch(message::json, pick(stream || ' dirt', key, patches)::json)::varchar
        else message::varchar
    end;

-- rows that are touched now and again: every `step` seconds, each row at its own moment; in the
-- thinned part of the period only one time in `history_touches_one_in`

create macro touch_number(stream, key, moment, step) as
    floor(epoch(moment) / step - chance(stream || ' is touched', key))::bigint;

create macro touch_time(stream, key, number, step) as
    at_millis((number + chance(stream || ' is touched', key)) * step * 1000);

create macro is_thinned_touch(key, number) as
    (number + key) % setting.history_touches_one_in() = 0;

create macro last_thinned_touch(stream, key, number, step) as
    touch_time(
        stream, key, number - (number + key) % setting.history_touches_one_in(), step
    );

-- The newest touch at or before a time.
create macro last_touch(stream, key, moment, step) as
    case
        when touch_time(stream, key, touch_number(stream, key, moment, step), step)
            > play.full_from()
        then touch_time(stream, key, touch_number(stream, key, moment, step), step)
        else last_thinned_touch(
            stream, key,
            touch_number(stream, key, least(moment, play.full_from()), step),
            step
        )
    end;

-- An amount of euros in the smallest unit of another currency.
create macro in_smallest_unit(euros, per_euro, minor_units) as
    round(euros * per_euro * 10 ** minor_units)::bigint;

-- An amount in the smallest unit as a decimal of whole units.
create macro in_units(amount, minor_units) as
    (amount / 10 ** minor_units)::decimal(18, 2);

-- people

create macro base_users() as greatest(60, round(12000 * play.scale()))::bigint;
create macro users_per_hour() as setting.users_per_hour() * play.scale();

-- How many people have registered by a time; their ids go from 1 to this.
create macro users_at(moment) as
    base_users()
    + floor((epoch(moment) - epoch(play.start())) / 3600.0 * users_per_hour())::bigint;

-- The rank of the city that somebody lives in; people move every few years.
create macro home_rank(user_id, moment) as
    1 + floor(
        setting.cities() * chance(
            'home',
            hash(user_id, ((epoch(moment) / 86400)::bigint + user_id * 37 % 900) // 900)
        ) ** 1.6
    )::bigint;

-- places: 20 in each city

create macro place_id(place) as 'plc_' || lpad(place::varchar, 5, '0');

create macro place_of(city_rank, number) as (city_rank - 1) * 20 + number + 1;

-- Numbers, within a city, of places that can be booked: lodging and tours.
create macro bookable(stream, key) as
    pick(stream, key, [0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 17, 18]);

-- Euros a night (or a tour): dearer in popular cities, different from place to place.
create macro nightly_euros(place) as
    round(45 + 180 * chance('price', place) ** 2 + 40 * chance('city price', (place - 1) // 20));

-- visits

create macro step_seconds(app_type) as
    case when app_type = 'mobile' then 2.0 else 3.5 end;

-- When a visit's step `number` (from 0) happens: every 1 to 3 seconds in the mobile app, 2 to 5
-- elsewhere.
create macro step_time(app_type, visit_id, started_at, number) as
    later(
        started_at,
        number * step_seconds(app_type)
        + (chance('step', hash(visit_id, number)) - 0.5) * step_seconds(app_type) * 0.45
        + step_seconds(app_type)
    );

create macro session_id(visit_id) as 'ses_' || hex_of('session', visit_id, 20);

-- positions

-- The position of a point so many kilometres east and north of another, in degrees.
create macro moved_lat(lat, north_km) as round(lat + north_km / 111.0, 6);
create macro moved_lng(lat, lng, east_km) as
    round(lng + east_km / (111.0 * greatest(0.2, cos(radians(lat)))), 6);

create macro geohash_letters(y, x) as
    '0123456789bcdefghjkmnpqrstuvwxyz'[1 + (
        (x >> 7 & 1) << 4 | (y >> 6 & 1) << 3 | (x >> 6 & 1) << 2 | (y >> 5 & 1) << 1 | (x >> 5 & 1)
    )]
    || '0123456789bcdefghjkmnpqrstuvwxyz'[1 + (
        (y >> 4 & 1) << 4 | (x >> 4 & 1) << 3 | (y >> 3 & 1) << 2 | (x >> 3 & 1) << 1 | (y >> 2 & 1)
    )]
    || '0123456789bcdefghjkmnpqrstuvwxyz'[1 + (
        (x >> 2 & 1) << 4 | (y >> 1 & 1) << 3 | (x >> 1 & 1) << 2 | (y & 1) << 1 | (x & 1)
    )];

-- The geohash of a position, three characters (a region of about 150 km).
create macro geohash3(lat, lng) as
    geohash_letters(
        least(127, floor((lat + 90) / 180 * 128))::integer,
        least(255, floor((lng + 180) / 360 * 256))::integer
    );

-- How often a user's row is touched: a quarter of the users are about every day, others seldom.
create macro user_touch_seconds(user_id) as
    case
        when chance('is active', user_id) < 0.25 then setting.active_user_touch_seconds()
        else 20 * 86400
    end;

-- The newest change of a user's row at or before a time.
create macro last_user_change(user_id, registered_at, deleted_at, moment) as
    case
        when deleted_at <= moment then deleted_at
        else greatest(
            registered_at, last_touch('user', user_id, moment, user_touch_seconds(user_id))
        )
    end;

-- The newest change of a product's row at or before a time.
create macro last_product_change(product_id, moment) as
    last_touch('product', product_id, moment, setting.product_touch_seconds());

create macro product_count() as
    greatest(40, least(400, round(400 * play.scale())))::bigint;

create macro product_category(product_id) as
    ['luggage', 'backpacks', 'electronics', 'clothing', 'camping', 'books', 'toiletries', 'comfort']
    [1 + product_id % 8];

create macro product_noun(product_id) as
    pick('product', product_id, [
        ['Suitcase', 'Carry-on', 'Duffel', 'Trolley'],
        ['Backpack', 'Daypack', 'Sling', 'Waist Bag'],
        ['Power Bank', 'Adapter', 'Headphones', 'E-Reader'],
        ['Rain Jacket', 'Fleece', 'Travel Socks', 'Sun Hat'],
        ['Tent', 'Sleeping Bag', 'Stove', 'Hammock'],
        ['City Guide', 'Phrase Book', 'Atlas', 'Travel Journal'],
        ['Wash Bag', 'Sunscreen', 'Towel', 'Mosquito Spray'],
        ['Neck Pillow', 'Eye Mask', 'Blanket', 'Earplugs']
    ][1 + product_id % 8]);

-- What a product costs in euros at a time; prices are set anew every month.
create macro product_euros(product_id, moment) as
    round(
        [120, 75, 60, 45, 95, 14, 9, 18][1 + product_id % 8]
        * (0.5 + chance('product price', product_id))
        * (0.92 + 0.16 * chance(
            'product price now', hash(product_id, (epoch(moment) / 86400)::bigint // 30)
        )),
        2
    );

-- When a payment that was begun at `moment` is settled: within seconds, by bank transfer the next
-- day.
create macro settled_time(visit_id, moment) as
    later(
        moment,
        case
            when chance('is transfer', visit_id) < setting.transfer_share()
            then 3600 * (3 + 30 * chance('transfer', visit_id))
            else 0.4 + 3 * chance('settled', visit_id)
        end
    );
