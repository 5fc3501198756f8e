{{ config(materialized='incremental', unique_key='transaction_id') }}

with source as (
    select * from {{ source('raw', 'transactions') }}
    where {{ is_new() }}
    -- the ledger repeats a transaction when it changes: the last load wins, then the last file by
    -- name (names carry dates), then the last line
    qualify row_number() over (
        partition by transaction_id
        order by _loaded_at desc, _file desc, _line desc, _batch desc
    ) = 1
),

typed as (
    select
        -- ids
        transaction_id,
        account_id,

        -- strings
        nullif(trim(merchant), '') as merchant,
        nullif(lower(trim(category)), '') as category,
        lower(trim(status)) as status,

        -- money, in the currency's main unit; negative where it left the account
        currency,
        amount,

        -- timestamps (UTC)
        posted_at,
        _loaded_at as loaded_at
    from source
)

select * from typed
