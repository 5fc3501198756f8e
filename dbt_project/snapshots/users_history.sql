{% snapshot users_history %}

{{ config(
    unique_key='user_id',
    strategy='timestamp',
    updated_at='state_at',
    snapshot_meta_column_names={
        'dbt_valid_from': 'valid_from',
        'dbt_valid_to': 'valid_to',
        'dbt_scd_id': 'version_id',
        'dbt_updated_at': 'versioned_at'
    }
) }}

with users as (
    select * from {{ ref('stg_users') }}
),

-- names and addresses are not kept for ever: history needs what people were, not who
versions as (
    select
        -- ids
        user_id,

        -- what they were
        segment,
        country,
        city,
        marketing_consent,
        location_consent,
        is_deleted,

        -- timestamps (UTC)
        created_at,
        updated_at,

        -- closing an account updates its row; a row that is found gone keeps its last update, and its
        -- end is a version of its own
        case
            when is_deleted and deleted_at is null then greatest(updated_at, loaded_at)
            else updated_at
        end as state_at,
        loaded_at
    from users
)

select * from versions

{% endsnapshot %}
