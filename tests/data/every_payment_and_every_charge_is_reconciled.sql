-- No payment of the shop and no charge of Stripe is missing from the reconciliation.
with reconciled as (
    select * from {{ ref('payment_reconciliation') }}
)

select 'payment ' || cast(payment_id as varchar) as missing
from {{ ref('stg_app_payments') }}
where not is_deleted
    and payment_id not in (select payment_id from reconciled where payment_id is not null)

union all

select charge_id as missing
from {{ ref('stg_payments') }}
where charge_id not in (select charge_id from reconciled where charge_id is not null)
