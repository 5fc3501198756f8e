with lendings as (
    select * from {{ ref('stg_lendings') }}
),

lendings_by_day as (
    select
        {{ utc_day('lent_at') }} as lent_date,
        cast(count(*) as bigint) as lendings,
        cast(count(distinct card) as bigint) as members,
        max(loaded_at) as loaded_at
    from lendings
    group by {{ utc_day('lent_at') }}
)

select * from lendings_by_day
