{{ config(
    materialized='incremental',
    unique_key='product_id',
    post_hook="{{ without_gone_rows('product_name') }}"
) }}

with touched as (
    {{ touched_records('products') }}
    union
    select cast(product_id as varchar) as record_key from {{ ref('stg_products') }}
    where {{ is_new('loaded_at') }}
),

newest as (
    {{ newest_changes('products', also_old=true) }}
),

changes as (
    select
        try_cast(record_key as bigint) as product_id,
        trim({{ json_text('after_values', 'name') }}) as product_name,
        lower(trim({{ json_text('after_values', 'category') }})) as category,
        trim({{ json_text('after_values', 'brand') }}) as brand,
        try_cast({{ json_text('after_values', 'stock') }} as bigint) as stock,
        is_gone,
        changed_at,
        loaded_at
    from newest
    where try_cast(record_key as bigint) is not null
),

extracted as (
    select * from {{ ref('stg_products') }}
    where {{ is_touched('cast(product_id as varchar)', touched_keys='record_key') }}
),

-- changes run ahead of the hourly extraction; a product can be known to only one of them
levels as (
    select
        coalesce(extracted.product_id, changes.product_id) as product_id,
        coalesce(extracted.product_name, changes.product_name) as product_name,
        coalesce(extracted.category, changes.category) as category,
        coalesce(extracted.brand, changes.brand) as brand,
        extracted.stock as extracted_stock,
        extracted.updated_at as extracted_at,
        changes.stock as changed_stock,
        changes.changed_at,
        (
            changes.stock is not null
            and (extracted.updated_at is null or changes.changed_at >= extracted.updated_at)
        ) as is_changed_since,
        case
            -- a row that was made again is known to that side first which looked last
            when coalesce(extracted.is_deleted, false)
                then coalesce(changes.is_gone or changes.changed_at <= extracted.loaded_at, true)
            else coalesce(
                changes.is_gone
                and (extracted.updated_at is null or changes.changed_at >= extracted.updated_at),
                false
            )
        end as is_gone,
        greatest(
            coalesce(extracted.loaded_at, changes.loaded_at),
            coalesce(changes.loaded_at, extracted.loaded_at)
        ) as loaded_at
    from extracted
    full outer join changes on extracted.product_id = changes.product_id
),

final as (
    select
        -- ids
        product_id,

        -- strings
        case when is_gone then 'gone' else product_name end as product_name,
        category,
        brand,

        -- numerics
        case when is_changed_since then changed_stock else extracted_stock end as stock,
        coalesce(case when is_changed_since then changed_stock else extracted_stock end = 0, false)
            as is_out_of_stock,

        -- timestamps (UTC)
        case when is_changed_since then changed_at else coalesce(extracted_at, changed_at) end as stock_at,
        loaded_at
    from levels
)

select * from final
