select
    cast(lent_at as date) as day,
    count(*) as loans,
    cast(sum(fee) as decimal(18, 2)) as fees,
    max(loaded_at) as loaded_at
from {{ ref('stg_loans') }}
where state <> 'lost'
group by cast(lent_at as date)
