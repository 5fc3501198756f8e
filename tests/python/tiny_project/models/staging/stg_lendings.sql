{{ config(materialized='incremental', unique_key='slip') }}

with slips as (
    select * from {{ source('raw', 'lendings') }}
    where {{ is_new('_loaded_at') }}
),

members as (
    select * from {{ source('raw', 'members') }}
    qualify row_number() over (partition by card order by _loaded_at desc, _line desc) = 1
),

once as (
    select * from slips
    qualify row_number() over (partition by slip order by _partition, _offset) = 1
),

stg_lendings as (
    select
        once.slip,
        once.card,
        members.name as member_name,
        once.shelfmark,
        once.lent as lent_at,
        cast({{ dbt.dateadd('day', 'once.days', 'once.lent') }} as date) as due_date,
        once._loaded_at as loaded_at
    from once
    left join members on once.card = members.card
)

select * from stg_lendings
