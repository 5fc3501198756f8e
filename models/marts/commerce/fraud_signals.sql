{{ config(materialized='incremental', unique_key='charge_id') }}

{#- What is unusual, and what each sign weighs; the contract says the same in words. -#}
{% set velocity_charges = 4 %}
{% set amount_factor = 5 %}
{% set amount_history = 3 %}
{% set weights = {'velocity': 40, 'amount': 35, 'geography': 25} %}
{% set suspicious_from = 50 %}

-- a late charge changes what was usual for all later ones, so a buyer is done whole
with touched as (
    select user_id from {{ ref('fct_payments') }}
    where {{ is_new('loaded_at') }}
    {%- if is_incremental() %}
    union
    -- accounts are touched all the time; only one that moved changes its charges
    select kept.user_id from {{ this }} as kept
    inner join {{ ref('stg_users') }} as users on kept.user_id = users.user_id
    where {{ is_new('users.loaded_at') }}
        and coalesce(kept.user_country, '') <> coalesce(users.country, '')
    {%- endif %}
),

charges as (
    select * from {{ ref('fct_payments') }}
    where user_id is not null and {{ is_touched('user_id') }}
),

users as (
    select user_id, country from {{ ref('stg_users') }}
),

-- failed attempts count for the pace, but only money that moved says what is usual
measured as (
    select
        charges.*,
        count(*) over (
            partition by user_id
            order by created_at
            range between interval '1 hour' preceding and current row
        ) as charges_in_hour,
        count(case when is_paid then 1 end) over (
            partition by user_id, currency
            order by created_at, charge_id
            rows between unbounded preceding and 1 preceding
        ) as earlier_charges,
        avg(case when is_paid then amount_cents end) over (
            partition by user_id, currency
            order by created_at, charge_id
            rows between unbounded preceding and 1 preceding
        ) as usual_amount_cents,
        max(loaded_at) over (partition by user_id) as newest_loaded_at
    from charges
),

judged as (
    select
        measured.charge_id,
        measured.user_id,
        measured.order_id,
        measured.booking_id,
        measured.status,
        measured.currency,
        measured.amount_cents,
        measured.card_country,
        users.country as user_country,
        measured.charges_in_hour,
        case
            when measured.earlier_charges >= {{ amount_history }}
                then {{ safe_divide('measured.amount_cents', 'measured.usual_amount_cents') }}
        end as amount_ratio,
        measured.created_at,
        measured.newest_loaded_at as loaded_at
    from measured
    left join users on measured.user_id = users.user_id
),

signals as (
    select
        *,
        charges_in_hour >= {{ velocity_charges }} as has_velocity,
        coalesce(amount_ratio >= {{ amount_factor }}, false) as has_amount,
        coalesce(card_country <> user_country, false) as has_geography
    from judged
),

scored as (
    select
        *,
        case when has_velocity then {{ weights.velocity }} else 0 end
        + case when has_amount then {{ weights.amount }} else 0 end
        + case when has_geography then {{ weights.geography }} else 0 end as score
    from signals
),

final as (
    select
        -- ids
        charge_id,
        user_id,
        order_id,
        booking_id,

        -- the charge
        status,
        currency,
        amount_cents,
        card_country,
        user_country,

        -- what was measured
        cast(charges_in_hour as bigint) as charges_in_hour,
        cast(amount_ratio as double) as amount_ratio,

        -- what it says
        has_velocity,
        has_amount,
        has_geography,
        cast(score as integer) as score,
        (score >= {{ suspicious_from }}) as is_suspicious,
        nullif(
            rtrim(
                case when has_velocity then 'velocity, ' else '' end
                || case when has_amount then 'amount, ' else '' end
                || case when has_geography then 'geography' else '' end,
                ', '
            ),
            ''
        ) as reasons,

        -- timestamps (UTC)
        created_at,
        loaded_at
    from scored
)

select * from final
