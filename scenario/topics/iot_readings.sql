-- Readings of devices in rented places: a metric every few minutes from each.
with devices as (
    select
        device,
        ['door_lock', 'thermostat', 'thermostat', 'gps_tracker'][1 + device % 4] as device_type
    from range(greatest(8, ceil(100 * play.scale()))::bigint) as numbers(device)
),

readings as (
    select
        devices.*,
        slot,
        hash(device, slot) as reading_key,
        later(slot_start, 299 * chance('device', device)) as happened_at
    from devices
    cross join slots(300, greatest(play.start(), play.reach() - interval 4 days), play.until())
    where is_kept('reading', hash(device, slot), slot_start)
),

delayed as (
    select
        *,
        later(
            happened_at,
            case
                when chance('is late', reading_key) < setting.late_share()
                then 60 * exp(chance('late', reading_key) * ln(4300))
                else 0.3
            end
        ) as arrived_at,
        case device_type
            when 'door_lock'
                then pick('metric', reading_key, ['battery', 'is_locked', 'is_locked'])
            when 'thermostat' then pick('metric', reading_key, ['temperature', 'humidity'])
            else pick('metric', reading_key, ['speed', 'battery'])
        end as metric
    from readings
    where happened_at > play.start()
),

sent as (
    select
        arrived_at,
        'dev_' || lpad(device::varchar, 5, '0') as key,
        reading_key,
        happened_at,
        to_json({
            'reading_id': uuid_of('reading', reading_key),
            'device_id': 'dev_' || lpad(device::varchar, 5, '0'),
            'device_type': device_type,
            'metric': metric,
            'value': case metric
                when 'battery' then round(
                    100 * (1 - ((epoch(happened_at) / 86400 + device) / (20 + device % 30)) % 1), 1
                )
                when 'is_locked' then (chance('lock', reading_key) < 0.8)::integer
                when 'temperature' then round(
                    20.5 + 1.5 * sin(2 * pi() * (hour(happened_at) - 9) / 24)
                    + wobble('temperature', device, slot) * 2, 2
                )
                when 'humidity' then round(
                    45 + wobble('humidity', device, slot) * 20, 1
                )
                else round(greatest(0, 40 * (chance('tracker', reading_key) - 0.4)), 1)
            end,
            'unit': case metric
                when 'temperature' then 'celsius'
                when 'speed' then 'km/h'
                when 'is_locked' then 'boolean'
                else 'percent'
            end,
            'timestamp': iso(happened_at)
        }) as message
    from delayed
    where arrived_at > play.reach() and arrived_at <= play.until()
)

select
    arrived_at,
    key,
    dirtied(message, 'reading', reading_key, happened_at, setting.dirty_day_operations(), [
        '{"value": "offline"}',
        '{"value": null}',
        '{"value": -9999}',
        '{"unit": null}',
        '{"device_type": "Thermostat"}'
    ]) as value
from sent
