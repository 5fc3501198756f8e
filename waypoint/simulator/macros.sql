-- What a scenario's SQL is written with, besides the tables of its own. Chance comes from hashing
-- what it is asked for, so that every answer depends on the seed and the question alone: never on
-- the order of rows, on other queries or on when the play is made.

-- chance

-- A hash of `key` in the stream of chance called `stream`; streams do not depend on each other.
create macro noise(stream, key) as
    hash(xor(hash(key), hash(stream, getvariable('seed'))));

-- A double in [0, 1), evenly spread.
create macro chance(stream, key) as
    (noise(stream, key) >> 11)::double / 9007199254740992.0;

-- A whole number from `low` to `high`, both included.
create macro whole(stream, key, low, high) as
    (low + floor(chance(stream, key) * (high - low + 1)))::bigint;

-- One of the items of a list.
create macro pick(stream, key, items) as
    items[1 + floor(chance(stream, key) * len(items))::bigint];

-- A random (version 4) UUID, as text.
create macro uuid_of(stream, key) as
    format(
        '{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}',
        noise(stream, key) >> 32,
        (noise(stream, key) >> 16) & 65535,
        noise(stream, key) & 4095,
        noise(stream || '/2', key) >> 52,
        noise(stream || '/2', key) & 281474976710655
    );

-- `digits` (at most 32) hexadecimal digits.
create macro hex_of(stream, key, digits) as
    left(format('{:016x}{:016x}', noise(stream, key), noise(stream || '/2', key)), digits);

-- Between -0.5 and 0.5, changing evenly from one whole `step / period` to the next.
create macro swing(stream, key, step, period) as
    (chance(stream, hash(key, floor(step / period)::bigint, period))
        * (1 - (step / period - floor(step / period)))
    + chance(stream, hash(key, floor(step / period)::bigint + 1, period))
        * (step / period - floor(step / period))) - 0.5;

-- A walk: where it stands at a `step` (any number), about `sqrt(distance) / 2` away from where it
-- stood before. Needs no sum over the way, so any stretch of it can be asked for alone; over more
-- than some ten thousand steps it comes back to zero.
create macro walk(stream, key, step) as
    swing(stream, key, step, 1.0)
    + swing(stream, key, step, 2.0) * 1.41
    + swing(stream, key, step, 4.0) * 2
    + swing(stream, key, step, 8.0) * 2.83
    + swing(stream, key, step, 16.0) * 4
    + swing(stream, key, step, 32.0) * 5.66
    + swing(stream, key, step, 64.0) * 8
    + swing(stream, key, step, 128.0) * 11.3
    + swing(stream, key, step, 256.0) * 16
    + swing(stream, key, step, 1024.0) * 32
    + swing(stream, key, step, 4096.0) * 64
    + swing(stream, key, step, 16384.0) * 128
    + swing(stream, key, step, 65536.0) * 256;

-- Between -1 and 1, from step to step not far from where it stood before.
create macro wobble(stream, key, step) as
    swing(stream, key, step, 3.0) * 0.25
    + swing(stream, key, step, 13.0) * 0.5
    + swing(stream, key, step, 61.0) * 1.25;

-- JSON

-- A JSON object (as text) with one more field, whose value is JSON already. Cheaper than `to_json`
-- around it, which would read the value again.
create macro with_field(object, name, value) as
    object[:-2] || ',"' || name || '":' || coalesce(value::varchar, 'null') || '}';

-- the play

create schema play;

-- The stretch being played: what happened after `since` up to and including `until` (UTC).
create macro play.since() as getvariable('since');
create macro play.until() as getvariable('until');

-- From when on messages are asked for: a little before `since`, because a copy of a message may
-- come later than the message. What was played before is cut off again.
create macro play.reach() as getvariable('reach');

-- Where the simulated period begins, and from when on it is played in full; before that it is
-- thinned. The first play ends a day after, as it was set.
create macro play.start() as getvariable('start');
create macro play.full_from() as getvariable('full_from');

-- Where the first play ended: everything dated by "days before the end" refers to it.
create macro play.opened() as getvariable('opened');

-- How large the simulated business is; 1 is the usual size.
create macro play.scale() as getvariable('scale');

-- time

-- Milliseconds since 1970, and back.
create macro at_millis(number) as make_timestamp(number::bigint * 1000);

-- `moment` moved on by a number of seconds, cut to milliseconds.
create macro later(moment, seconds) as
    make_timestamp((epoch_ms(moment) + floor(seconds * 1000)::bigint) * 1000);

-- UTC, ISO 8601 with milliseconds.
create macro iso(moment) as strftime(moment, '%Y-%m-%dT%H:%M:%S.%gZ');

-- The starts of all slots of `seconds` that overlap the time from `first` to `last`; slots are
-- counted from 1970, `slot` is their number.
create macro slots(seconds, first, last) as table
    select
        slot,
        make_timestamp(slot * seconds * 1000000) as slot_start
    from range(
        (epoch_ms(first) // (seconds * 1000))::bigint,
        (epoch_ms(last) // (seconds * 1000))::bigint + 1
    ) as numbered(slot);
