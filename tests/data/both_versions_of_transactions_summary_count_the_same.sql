-- As long as version 1 stands beside version 2, both say the same of the money that has moved.
with older as (
    select
        day, currency, category,
        sum(transactions) as transactions,
        sum(net_amount) as net_amount
    from {{ ref('transactions_summary', v=1) }}
    where status in ('booked', 'posted')
    group by day, currency, category
),

newer as (
    select day, currency, category, transactions, net_amount
    from {{ ref('transactions_summary', v=2) }}
    where transactions > 0
)

(
    select * from older
    except
    select * from newer
)
union all
(
    select * from newer
    except
    select * from older
)
