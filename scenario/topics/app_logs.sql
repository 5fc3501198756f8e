-- What services log: mostly that they did something; now and then that they could not.
with lines as (
    select
        slot,
        hash(slot, line) as log_key,
        later(slot_start, 60 * chance('log', hash(slot, line))) as happened_at,
        pick('service', hash(slot, line), [
            'gateway', 'gateway', 'search', 'search', 'booking', 'payments', 'recommender', 'mailer'
        ]) as service,
        chance('level', hash(slot, line)) as severity
    from slots(60, greatest(play.start(), play.reach() - interval 2 minutes), play.until())
    cross join range(ceil(30 * play.scale())::bigint) as numbers(line)
    where
        line + chance('is logged', hash(slot, line)) < (8 + 20 * rhythm(slot_start)) * play.scale()
        and is_kept('log', hash(slot, line), slot_start)
),

sent as (
    select
        later(happened_at, 0.05 + 0.4 * chance('latency', log_key)) as arrived_at,
        service as key,
        log_key,
        happened_at,
        to_json({
            'log_id': uuid_of('log', log_key),
            'service': service,
            'level': case
                when severity < 0.12 then 'DEBUG'
                when severity < 0.93 then 'INFO'
                when severity < 0.98 then 'WARN'
                when severity < 0.999 then 'ERROR'
                else 'FATAL'
            end,
            'message': case
                when severity < 0.12 then 'cache ' || pick('cache', log_key, ['hit', 'hit', 'miss'])
                when severity < 0.93 then pick('path', log_key, [
                    'GET /search', 'GET /places', 'POST /events/user', 'GET /deals', 'POST /bookings'
                ]) || ' 200 in ' || whole('took', log_key, 3, 240) || ' ms'
                when severity < 0.98 then 'slow query, ' || whole('took', log_key, 800, 4000) || ' ms'
                when severity < 0.999 then pick('failure', log_key, [
                    'upstream timed out', 'connection reset by peer', 'card processor answered 502',
                    'could not parse the request body'
                ])
                else 'out of memory, restarting'
            end,
            'timestamp': iso(happened_at),
            'trace_id': case
                when chance('is traced', log_key) < 0.6 then hex_of('trace', log_key, 32)
            end,
            'attributes': {
                'host': service || '-' || whole('host', log_key, 1, 4),
                'region': pick('region', log_key, ['eu-west-1', 'us-east-1', 'ap-southeast-1'])
            }
        }) as message
    from lines
    where happened_at > play.start()
)

select
    arrived_at,
    key,
    dirtied(message, 'log', log_key, happened_at, setting.dirty_day_operations(), [
        '{"level": "warning"}',
        '{"level": "err"}',
        '{"level": "Notice"}',
        '{"message": null}',
        '{"trace_id": ""}',
        '{"attributes": null}'
    ]) as value
from sent
