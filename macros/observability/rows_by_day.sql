{#- How many rows each of `tables` has for each data day, and how many of them break no row rule:
    the body of an incremental model (unique_key table_name and data_day) that is rendered from the
    contracts, each entry of `tables` being one of them (waypoint/contracts/derived/observability.py).

    An incremental run checks the rules only on days that something happened to; it asks the warehouse
    first which these are (`touched_days`) and then looks at nothing else. A day that has no rows any
    more comes out as zero, which the model's post-hook takes away. -#}
{% macro rows_by_day(tables) -%}
{%- set there = [] -%}
{%- set kept = [] -%}  {#- tables whose days stay as they were counted, whatever is there now -#}
{%- for table in tables -%}
    {%- set is_there = not execute or is_built(table.relation) -%}
    {%- do there.append(table) if is_there -%}
    {%- do kept.append(table.table) if table.only_grows or not is_there -%}
{%- endfor -%}
{%- set touched = touched_days(there, kept) if execute and is_incremental() else none -%}
{%- set arms = [] -%}
{%- for table in there -%}
    {%- if touched is none -%}
        {%- do arms.append(rows_of_table(table)) -%}
    {%- elif table.table in touched.with_rows -%}
        {%- do arms.append(rows_of_table(table, touched.with_rows[table.table])) -%}
    {%- endif -%}
{%- endfor -%}
{%- for table, day in (touched.without_rows if touched else []) -%}
    {%- do arms.append(no_rows(table, day)) -%}
{%- endfor -%}
{%- if not arms -%}
    {%- do arms.append('select * from ' ~ this ~ ' where false') -%}
{%- endif -%}
{{ arms | join('\nunion all\n') }}
{%- endmacro %}


{#- One table's rows by day, of all days or of those in `days`. -#}
{% macro rows_of_table(table, days=none) -%}
select
    cast('{{ table.table }}' as varchar) as table_name,
    {{ data_day(table) }} as data_day,
    cast(count(*) as bigint) as row_count,
    cast({{ rows_that_pass(table) }} as bigint) as rows_passing,
    cast(max({{ table.newest_by }}) as timestamp) as newest_at,
    max({{ table.loaded_at }}) as loaded_at,
    cast('{{ table.rules_version }}' as varchar) as rules_version
from {{ table.relation }}
{%- if days %}
where {{ data_day(table) }} in (
    {%- for day in days %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% endfor -%}
)
    {%- if table.day_is_there %}
    -- says nothing new; it lets the warehouse skip what is older
    and {{ table.day }} >= cast('{{ days | min }}' as {{ 'timestamp' if table.day_is_time else 'date' }})
    {%- endif %}
{%- endif %}
group by {{ data_day(table) }}
{%- endmacro %}


{% macro no_rows(table, day) -%}
select
    cast('{{ table }}' as varchar),
    cast('{{ day }}' as date),
    cast(0 as bigint),
    cast(0 as bigint),
    cast(null as timestamp),
    cast(null as timestamp),
    cast(null as varchar)
{%- endmacro %}


{#- The days that are not as this model counted them last: `with_rows`, lists of days by table, and
    `without_rows`, pairs of a table and a day that has none any more.

    Where a table only grows, they are the days of its newly loaded rows. Where rows are replaced and
    taken away, a count of each day's rows, which reads two columns, tells. A table whose rules
    changed is checked whole. -#}
{% macro touched_days(tables, kept) -%}
{%- set found = run_query(touched_days_query(tables, kept)) -%}
{%- set with_rows = {} -%}
{%- set without_rows = [] -%}
{%- for row in found.rows -%}
    {%- if row[2] == 1 -%}
        {%- do with_rows.setdefault(row[0], []).append(row[1]) -%}
    {%- else -%}
        {%- do without_rows.append((row[0], row[1])) -%}
    {%- endif -%}
{%- endfor -%}
{{ return({'with_rows': with_rows, 'without_rows': without_rows}) }}
{%- endmacro %}


{% macro touched_days_query(tables, kept) -%}
with counted as (
    select * from {{ this }}
),

seen as (
    select table_name, rules_version, max(loaded_at) as loaded_at
    from counted
    group by table_name, rules_version
),

days as (
    {% for table in tables -%}
    select
        '{{ table.table }}' as table_name,
        {{ data_day(table) }} as data_day,
        {{ 'cast(null as bigint)' if table.only_grows else 'count(*)' }} as row_count,
        max({{ table.loaded_at }}) as loaded_at,
        '{{ table.rules_version }}' as rules_version
    from {{ table.relation }}
    {%- if table.only_grows %}
    where {{ table.loaded_at }} > (
        select coalesce(max(loaded_at), cast('1900-01-01' as timestamp)) from seen
        where table_name = '{{ table.table }}' and rules_version = '{{ table.rules_version }}'
    )
    {%- endif %}
    group by {{ data_day(table) }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
)

select days.table_name, cast(days.data_day as varchar) as data_day, 1 as has_rows
from days
left join counted on days.table_name = counted.table_name and days.data_day = counted.data_day
where days.row_count is null
    or counted.data_day is null
    or counted.row_count <> days.row_count
    or counted.loaded_at <> days.loaded_at
    or counted.rules_version <> days.rules_version
union all
select counted.table_name, cast(counted.data_day as varchar), 0
from counted
left join days on counted.table_name = days.table_name and counted.data_day = days.data_day
where days.data_day is null
    and counted.table_name not in (
        '' {%- for table in kept %}, '{{ table }}'{% endfor %}
    )
order by 1, 2
{%- endmacro %}


{#- The day that a row is counted on; that of its load where it says none itself. -#}
{% macro data_day(table) -%}
    {%- if table.day_is_there -%}
        {{ utc_day(table.day) }}
    {%- else -%}
        coalesce({{ utc_day(table.day) }}, {{ utc_day(table.loaded_at) }})
    {%- endif -%}
{%- endmacro %}


{% macro rows_that_pass(table) -%}
    {%- if table.rules -%}
    sum(case
        when {% for rule in table.rules -%}
            {{ '\n            or ' if not loop.first }}({{ row_rule_condition(rule) }})
        {%- endfor %}
        then 0 else 1
    end)
    {%- else -%}
    count(*)
    {%- endif -%}
{%- endmacro %}


{#- Whether a relation is there: what could not be built must not keep the rest from being seen. -#}
{% macro is_built(relation) -%}
    {{ return(load_relation(relation) is not none) }}
{%- endmacro %}
