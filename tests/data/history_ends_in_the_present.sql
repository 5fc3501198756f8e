-- The newest version of an account or product in the snapshots is what staging has now. A warning: a
-- row that is found again after it was found gone has its next version only when it next changes.
{{ config(severity='warn') }}

with users as (
    select
        'user' as what,
        users.user_id as id
    from {{ ref('stg_users') }} as users
    left join {{ ref('users_history') }} as history
        on users.user_id = history.user_id
        and history.valid_to is null
    where history.user_id is null
        or users.updated_at <> history.updated_at
        or users.is_deleted <> history.is_deleted
),

products as (
    select
        'product' as what,
        products.product_id as id
    from {{ ref('stg_products') }} as products
    left join {{ ref('products_history') }} as history
        on products.product_id = history.product_id
        and history.valid_to is null
    where history.product_id is null
        or products.updated_at <> history.updated_at
        or products.is_deleted <> history.is_deleted
)

select * from users
union all
select * from products
