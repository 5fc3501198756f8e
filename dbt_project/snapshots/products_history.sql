{% snapshot products_history %}

{{ config(
    unique_key='product_id',
    strategy='timestamp',
    updated_at='state_at',
    snapshot_meta_column_names={
        'dbt_valid_from': 'valid_from',
        'dbt_valid_to': 'valid_to',
        'dbt_scd_id': 'version_id',
        'dbt_updated_at': 'versioned_at'
    }
) }}

with products as (
    select * from {{ ref('stg_products') }}
),

versions as (
    select
        -- ids
        product_id,

        -- strings
        product_name,
        category,
        brand,

        -- numerics
        price_cents,
        stock,

        is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,

        -- a row that is found gone keeps its last update; its end is a version of its own
        case when is_deleted then greatest(updated_at, loaded_at) else updated_at end as state_at,
        loaded_at
    from products
)

select * from versions

{% endsnapshot %}
