{{ config(materialized='incremental', unique_key=['entity', 'from_system', 'to_system', 'data_day']) }}

{%- set updated_last = 'updated_at desc, _loaded_at desc, _batch desc' %}
{%- set raw = {
    'orders': {'name': 'app_orders', 'table': source('raw', 'app_orders'), 'day': 'created_at'},
    'bookings': {'name': 'app_bookings', 'table': source('raw', 'app_bookings'), 'day': 'created_at'},
    'charges': {'name': 'stripe_charges', 'table': source('raw', 'stripe_charges'), 'day': epoch_seconds('created')},
    'transactions': {'name': 'transactions', 'table': source('raw', 'transactions'), 'day': 'posted_at'},
    'app events': {'name': 'app_events', 'table': source('raw', 'app_events'), 'day': 'timestamp'},
    'clicks': {'name': 'clickstream', 'table': source('raw', 'clickstream'), 'day': 'timestamp'},
} -%}

with touched as (
    {% for entity, rows in raw.items() -%}
    select '{{ entity }}' as entity, {{ utc_day(rows.day) }} as data_day
    from {{ rows.table }}
    where {{ is_new() }}
    group by {{ utc_day(rows.day) }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

-- raw keeps every version and every copy: each key counts once, with what its newest version says
stations as (
    {{ reconciled_station(
        'orders', none, 'raw', 'staging', versions_of(raw['orders'].table, 'id', updated_last), 'created_at',
        passing_rows='count(distinct id)',
        total='sum(case when version = 1 then total_amount_cents end)', loaded_at='_loaded_at'
    ) }}
    union all
    {{ reconciled_station(
        'orders', 'raw', 'staging', 'orders_enriched', ref('stg_orders'), 'created_at',
        passing_rows='sum(case when is_deleted then 0 else 1 end)',
        total='sum(total_amount_cents)',
        passing_total='sum(case when is_deleted then 0 else total_amount_cents end)'
    ) }}
    union all
    {{ reconciled_station(
        'orders', 'staging', 'orders_enriched', none, ref('orders_enriched'), 'created_at',
        total='sum(total_amount_cents)'
    ) }}

    union all
    {{ reconciled_station(
        'bookings', none, 'raw', 'staging', versions_of(raw['bookings'].table, 'id', updated_last), 'created_at',
        passing_rows='count(distinct id)',
        total='sum(case when version = 1 then total_amount_cents end)', loaded_at='_loaded_at'
    ) }}
    union all
    {{ reconciled_station(
        'bookings', 'raw', 'staging', 'fct_bookings', ref('stg_bookings'), 'created_at',
        passing_rows='sum(case when is_deleted then 0 else 1 end)',
        total='sum(total_amount_cents)',
        passing_total='sum(case when is_deleted then 0 else total_amount_cents end)'
    ) }}
    union all
    {{ reconciled_station(
        'bookings', 'staging', 'fct_bookings', none, ref('fct_bookings'), 'created_at',
        total='sum(total_amount_cents)'
    ) }}

    -- what stayed of each charge; revenue has a row for each currency in which something was paid
    union all
    {{ reconciled_station(
        'charges', none, 'raw', 'staging',
        versions_of(
            raw['charges'].table, 'id', '_loaded_at desc, _batch desc, amount_refunded desc'
        ),
        raw['charges'].day, passing_rows='count(distinct id)',
        total='sum(case when version = 1 then amount - amount_refunded end)', loaded_at='_loaded_at'
    ) }}
    union all
    {{ reconciled_station(
        'charges', 'raw', 'staging', 'fct_payments', ref('stg_payments'), 'created_at',
        total='sum(amount_cents - amount_refunded_cents)',
        passing_total='sum(case when is_paid then amount_cents - amount_refunded_cents else 0 end)'
    ) }}
    union all
    {{ reconciled_station(
        'charges', 'staging', 'fct_payments', 'revenue_by_day', ref('fct_payments'), 'created_at',
        passing_rows='count(distinct case when is_paid and (gross_cents > 0 or order_id is not null'
            ~ ' or booking_id is not null) then currency end)',
        total='sum(net_cents)'
    ) }}
    union all
    {{ reconciled_station(
        'charges', 'fct_payments', 'revenue_by_day', none, ref('revenue_by_day'), 'day',
        total='sum(revenue_cents)', is_date=true
    ) }}

    -- the ledger may repeat a transaction with another time; hundredths of the currency
    union all
    {{ reconciled_station(
        'transactions', none, 'raw', 'staging',
        versions_of(
            raw['transactions'].table, 'transaction_id',
            '_loaded_at desc, _file desc, _line desc, _batch desc'
        ),
        'posted_at', passing_rows='sum(case when version = 1 then 1 else 0 end)',
        total='sum(case when version = 1 then round(amount * 100) end)', loaded_at='_loaded_at'
    ) }}
    union all
    {{ reconciled_station(
        'transactions', 'raw', 'staging', 'transactions_summary', ref('stg_transactions'), 'posted_at',
        total='sum(round(amount * 100))'
    ) }}
    union all
    {{ reconciled_station(
        'transactions', 'staging', 'transactions_summary', none, ref('transactions_summary', v=2), 'day',
        row_count='sum(transactions + open_transactions)',
        total='round(sum(net_amount + open_amount) * 100)', is_date=true
    ) }}

    -- events whose own time cannot be true are in no mart by time
    union all
    {{ reconciled_station(
        'app events', none, 'raw', 'staging', raw['app events'].table, 'timestamp',
        passing_rows='count(distinct event_id)', loaded_at='_loaded_at'
    ) }}
    union all
    {{ reconciled_station(
        'app events', 'raw', 'staging', 'app_event_counts_5m', ref('stg_app_events'), 'event_at',
        passing_rows='sum(case when is_time_plausible then 1 else 0 end)'
    ) }}
    union all
    {{ reconciled_station(
        'app events', 'staging', 'app_event_counts_5m', none, ref('app_event_counts_5m'), 'window_start',
        row_count='sum(events)'
    ) }}

    union all
    {{ reconciled_station(
        'clicks', none, 'raw', 'staging', raw['clicks'].table, 'timestamp',
        passing_rows='count(distinct click_id)', loaded_at='_loaded_at'
    ) }}
    union all
    {{ reconciled_station('clicks', 'raw', 'staging', none, ref('stg_clicks'), 'clicked_at') }}
),

-- from the source to raw, by the day of the load: what files hold and what was turned away of them
-- against what is there
loads as (
    {% for entity, rows in raw.items() -%}
    select
        cast('{{ entity }}' as varchar) as entity,
        data_day,
        sum(landed + rejected) as from_rows,
        sum(loaded) as to_rows,
        sum(rejected) as explained_rows,
        max(loaded_at) as loaded_at
    from (
        select
            {{ utc_day('loaded_at') }} as data_day,
            row_count as landed, 0 as rejected, 0 as loaded, loaded_at
        from {{ source('raw', 'load_history') }}
        where table_name = '{{ rows.name }}' and {{ is_on_new_load_day('loaded_at') }}
        union all
        select {{ utc_day('_loaded_at') }}, 0, 1, 0, _loaded_at
        from {{ source('raw', 'quarantine') }}
        where table_name = '{{ rows.name }}' and {{ is_on_new_load_day('_loaded_at') }}
        union all
        select {{ utc_day('_loaded_at') }}, 0, 0, count(*), max(_loaded_at)
        from {{ rows.table }}
        where {{ is_on_new_load_day('_loaded_at') }}
        group by {{ utc_day('_loaded_at') }}
    ) as counted
    group by data_day
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

steps as (
    select
        entity,
        system as from_system,
        goes_to as to_system,
        data_day,
        row_count as from_rows,
        0 as to_rows,
        row_count - passing_rows as explained_rows,
        passing_total as from_total,
        cast(null as bigint) as to_total,
        loaded_at
    from stations
    where goes_to is not null
    union all
    select entity, came_from, system, data_day, 0, row_count, 0, null, total, loaded_at
    from stations
    where came_from is not null
    union all
    select entity, 'source', 'raw', data_day, from_rows, to_rows, explained_rows, null, null, loaded_at
    from loads
),

reconciled as (
    select
        entity,
        from_system,
        to_system,
        data_day,
        cast(sum(from_rows) as bigint) as from_rows,
        cast(sum(to_rows) as bigint) as to_rows,
        cast(sum(explained_rows) as bigint) as explained_rows,
        cast(sum(from_rows - explained_rows - to_rows) as bigint) as unexplained_rows,
        cast(sum(from_total) as bigint) as from_total,
        cast(sum(to_total) as bigint) as to_total,
        cast(coalesce(sum(from_total), 0) - coalesce(sum(to_total), 0) as bigint) as unexplained_total,
        max(loaded_at) as loaded_at
    from steps
    group by entity, from_system, to_system, data_day
)

select
    entity,
    from_system,
    to_system,
    data_day,
    from_rows,
    to_rows,
    explained_rows,
    unexplained_rows,
    from_total,
    to_total,
    unexplained_total,
    unexplained_rows = 0 and unexplained_total = 0 as is_reconciled,
    loaded_at
from reconciled
