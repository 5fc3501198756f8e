-- When payments' rows changed, up to the end of the play, and the change before (`before_at`).
with happened as (
    select payment_id, unnest([created_at, ended_at, refunded_at]) as happened_at
    from payments_made
),

numbered as (
    select
        payment_id,
        happened_at,
        lag(happened_at) over (partition by payment_id order by happened_at) as before_at
    from happened
    where happened_at <= play.until()
)

select
    payment_id,
    happened_at,
    before_at,
    case when before_at is null then 'INSERT' else 'UPDATE' end as operation
from numbered
where happened_at > play.since()
