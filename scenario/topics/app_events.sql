-- Events of the apps: the steps of visits, and what becomes of bookings afterwards.
with said as (
    select
        arrived_at,
        user_id,
        step_key as event_key,
        event_type,
        session_id,
        app_type,
        happened_at,
        case
            when event_type = 'search' then to_json({
                'page': page,
                'destination': destination,
                'query': pick('query', step_key, [
                    'hotel ', 'things to do in ', '', '', 'weekend in ', 'cheap stay ', 'family '
                ]) || destination,
                'results': whole('results', step_key, 0, 60),
                'country': country,
                'device_type': device_type,
                'processing_ms': processing_ms
            })
            when event_type = 'filter_applied' then to_json({
                'page': page,
                'destination': destination,
                'filter': pick('filter', step_key, ['price', 'rating', 'stars', 'distance', 'pool']),
                'country': country,
                'device_type': device_type,
                'processing_ms': processing_ms
            })
            when event_type = 'booking_view' then to_json({
                'page': page,
                'destination': destination,
                'place_id': place_id(place),
                'price': in_units(
                    in_smallest_unit(nightly_euros(place), per_euro, minor_units), minor_units
                ),
                'currency': currency,
                'country': country,
                'device_type': device_type,
                'processing_ms': processing_ms
            })
            when event_type in ('booking_created', 'payment_completed') and booking_id is not null
                then to_json({
                    'page': page,
                    'destination': destination,
                    'place_id': place_id(place),
                    'booking_id': booking_id,
                    'price': in_units(amount, minor_units),
                    'currency': currency,
                    'country': country,
                    'device_type': device_type,
                    'processing_ms': processing_ms
                })
            when event_type = 'payment_completed' then to_json({
                'page': page,
                'order_id': order_id,
                'price': in_units(amount, minor_units),
                'currency': currency,
                'country': country,
                'device_type': device_type,
                'processing_ms': processing_ms
            })
            else to_json({
                'page': page,
                'country': country,
                'device_type': device_type,
                'processing_ms': processing_ms
            })
        end as properties
    from event_steps
    union all
    select * from booking_news
),

sent as (
    select
        *,
        with_field(
            to_json({
                'event_id': uuid_of('app event', event_key),
                'event_type': event_type,
                'user_id': user_id,
                'session_id': session_id,
                'app_type': app_type,
                'timestamp': iso(happened_at)
            })::varchar,
            'properties',
            properties
        ) as message
    from said
),

-- a release of the mobile app that sends more than the contract knows
released as (
    select
        * replace (
            case
                when
                    app_type = 'mobile'
                    and happened_at > play.opened() - to_hours(setting.drift_hours_before_end())
                then with_field(
                    message,
                    'experiment',
                    to_json(pick('experiment', user_id, ['control', 'new_checkout']))
                )
                else message
            end as message
        )
    from sent
)

select
    arrived_at,
    user_id::varchar as key,
    dirtied(message, 'app event', event_key, happened_at, setting.dirty_day_behaviour(), [
        '{"app_type": "Mobile"}',
        '{"user_id": "unknown"}',
        '{"timestamp": "1970-01-01T00:00:03.000Z"}',
        '{"session_id": null}',
        '{"properties": null}',
        '{"properties": {"country": "nl"}}',
        '{"properties": {"processing_ms": "12 ms"}}',
        '{"properties": {"price": "-"}}'
    ]) as value
from released
