-- Versions in the snapshots follow each other: each ends when the next begins, and the last has no end.
with versions as (
    select 'user' as what, user_id as id, valid_from, valid_to from {{ ref('users_history') }}
    union all
    select 'product' as what, product_id as id, valid_from, valid_to from {{ ref('products_history') }}
),

followed as (
    select
        *,
        lead(valid_from) over (partition by what, id order by valid_from) as next_from
    from versions
)

select * from followed
where coalesce(valid_to, cast('9999-12-31' as timestamp))
    <> coalesce(next_from, cast('9999-12-31' as timestamp))
