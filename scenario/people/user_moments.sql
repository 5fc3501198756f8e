-- When users' rows changed in the play: `before_at` is the change before (none: a new row).
with members as (
    select *, user_touch_seconds(user_id) as seconds
    from people
    where deleted_at > play.since()
),

touches as (
    select
        *,
        unnest(range(
            (epoch(play.since()) / seconds)::bigint - 2,
            (epoch(play.until()) / seconds)::bigint + 1
        )) as number
    from members
),

touched as (
    select user_id, touch_time('user', user_id, number, seconds) as happened_at
    from touches
    where
        happened_at > greatest(registered_at, play.since())
        and happened_at < deleted_at
        and happened_at <= play.until()
        and (happened_at > play.full_from() or is_thinned_touch(user_id, number))
),

moments as (
    select user_id, happened_at, 'UPDATE' as operation from touched
    union all
    select user_id, registered_at as happened_at, 'INSERT' as operation
    from people
    where registered_at > play.since() and registered_at <= play.until()
    union all
    -- rows that were there when capture began
    select
        user_id,
        last_user_change(user_id, registered_at, deleted_at, play.start()) as happened_at,
        'SNAPSHOT' as operation
    from people
    where registered_at <= play.start() and play.since() = play.start()
    union all
    select user_id, deleted_at as happened_at, 'UPDATE' as operation
    from people
    where deleted_at > play.since() and deleted_at <= play.until()
    union all
    select user_id, gone_at as happened_at, 'DELETE' as operation
    from people
    where gone_at > play.since() and gone_at <= play.until()
)

select
    user_id,
    happened_at,
    operation,
    case
        when operation in ('UPDATE', 'DELETE')
            then last_user_change(
                user_id, registered_at, deleted_at, happened_at - interval 1 millisecond
            )
    end as before_at
from moments
inner join people using (user_id)
