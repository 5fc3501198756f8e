-- Clicks on pages: some at the steps of visits in the browser and the app.
with sent as (
    select
        arrived_at,
        user_id::varchar as key,
        step_key,
        happened_at,
        to_json({
            'click_id': uuid_of('click', step_key),
            'user_id': user_id,
            'session_id': session_id,
            'page_url': 'https://www.wanderly.example' || page
                || case
                    when page = '/search' then '?q=' || lower(replace(destination, ' ', '+'))
                    else ''
                end,
            'element_id': pick('element', step_key, [
                'card', 'card', 'card', 'photo', 'map', 'button-search', 'button-book', 'nav', 'filter',
                'footer'
            ]),
            'x_coordinate': whole('x', step_key, 0, case device_type
                when 'desktop' then 1900 when 'tablet' then 1020 else 410 end),
            'y_coordinate': whole('y', step_key, 0, case device_type
                when 'desktop' then 1060 when 'tablet' then 1350 else 880 end),
            'timestamp': iso(later(happened_at, 0.2 + chance('click time', step_key))),
            'device_type': device_type
        }) as message
    from (
        select * replace (later(arrived_at, 1.3) as arrived_at)
        from event_steps
        where
            app_type <> 'api'
            and chance('clicks', step_key) < setting.clicks_a_step()
    )
)

select
    arrived_at,
    key,
    dirtied(message, 'click', step_key, happened_at, setting.dirty_day_behaviour(), [
        '{"x_coordinate": -3}',
        '{"session_id": null}',
        '{"page_url": "HTTPS://WWW.WANDERLY.EXAMPLE/Search/"}',
        '{"device_type": null}',
        '{"element_id": ""}'
    ]) as value
from sent
