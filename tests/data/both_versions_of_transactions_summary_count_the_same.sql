-- As long as version 1 stands beside version 2, what is posted is the same in both.
with older as (
    select day, currency, category, transactions, net_amount
    from {{ ref('transactions_summary', v=1) }}
    where status = 'posted'
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
