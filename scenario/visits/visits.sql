-- Every visit that something of the play can come of: a stay of several weeks begins with one.
-- `visit_id` counts places in lanes since the period began, so it is known without counting.
-- Visits are never thinned here: what is bought is bought; only their events are thinned.
with slotted as (
    select
        lanes.*,
        make_timestamp(slot * seconds * 1000000) as slot_start
    from lanes
    cross join lateral (
        select unnest(range(
            epoch(greatest(play.start(), play.reach() - interval 65 days))::bigint
            // seconds + 1,
            epoch(play.until())::bigint // seconds + 1
        )) as slot
    )
),

numbered as (
    select
        *,
        (epoch(slot_start) - epoch(play.start()))::bigint // 20 * lanes + lane as visit_id
    from slotted
),

in_use as (
    select
        visit_id,
        app_type,
        later(slot_start, chance('begins', visit_id) * 9) as started_at,
        false as is_fraud
    from numbered
    where
        number + chance('lane is used', visit_id)
        < quiet + (busy - quiet) * rhythm(slot_start)
),

-- somebody with stolen cards, every few days: order after order within minutes
fraudulent as (
    select
        (epoch(happened_at) - epoch(play.start()))::bigint // 20 * lanes + lanes as visit_id,
        'web' as app_type,
        happened_at as started_at,
        true as is_fraud,
        episode
    from (select max(lanes) as lanes from lanes)
    cross join (
        select
            episode,
            play.opened()
            - to_hours(setting.fraud_hours_before_end())
            + to_days(episode * setting.fraud_every_days())
            + to_seconds(visit * 80) as happened_at
        from range(
            -100,
            datediff('day', play.opened(), play.until()) // setting.fraud_every_days() + 2
        ) as episodes(episode)
        cross join range(setting.fraud_orders()) as visits(visit)
    )
    where
        happened_at > play.start()
        and happened_at > play.reach() - interval 65 days
        and happened_at <= play.until()
),

chosen as (
    select
        visit_id,
        app_type,
        started_at,
        is_fraud,
        -- few people come often, many seldom
        1 + floor(users_at(started_at) * chance('visitor', visit_id) ** 1.4)::bigint as user_id
    from in_use
    union all
    select
        visit_id,
        app_type,
        started_at,
        is_fraud,
        -- one who has bought before, so that it shows
        whole('fraudster', episode, 1, base_users() // 100 + 1) as user_id
    from fraudulent
)

select
    chosen.visit_id,
    chosen.app_type,
    chosen.started_at,
    chosen.is_fraud,
    chosen.user_id,
    case
        when is_fraud then 'order'
        when chance('outcome', visit_id) < setting.booking_share() * growth(started_at)
            then 'book'
        when chance('outcome', visit_id)
            < (setting.booking_share() + setting.abandoned_share()) * growth(started_at)
            then 'abandon'
        when
            chance('outcome', visit_id)
            < (setting.booking_share() + setting.abandoned_share() + setting.order_share())
            * growth(started_at)
            and app_type <> 'api'
            then 'order'
        when chance('outcome', visit_id) < 0.45 then 'view'
        else 'browse'
    end as outcome,
    whole('steps', visit_id, 7, 15) as steps,
    home_rank(chosen.user_id, started_at) as home_rank,
    1 + floor(setting.cities() * chance('destination', visit_id) ** 1.5)::bigint
        as destination_rank
from chosen
inner join people using (user_id)
where people.deleted_at > chosen.started_at + interval 1 hour
