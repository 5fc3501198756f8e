{#- The value at a path of a text column that holds JSON, as text; null where the path, or the JSON,
    is not there. Objects and arrays come back as JSON text. `path` is dotted: 'location.lat'. A step
    can be any text without a dot: Snowflake's paths have those that are no plain words in quotes. -#}
{% macro json_text(column, path) -%}
    {{ return(adapter.dispatch('json_text')(column, path)) }}
{%- endmacro %}

{% macro duckdb__json_text(column, path) -%}
    json_extract_string({{ column }}, '$."{{ path | replace(".", '"."') }}"')
{%- endmacro %}

{% macro snowflake__json_text(column, path) -%}
    {%- set written = namespace(path='') -%}
    {%- for step in path.split('.') -%}
        {%- if modules.re.match('[A-Za-z_][A-Za-z0-9_]*$', step) -%}
            {%- set written.path = written.path ~ ('.' if written.path else '') ~ step -%}
        {%- else -%}
            {%- set written.path = written.path ~ '["' ~ step ~ '"]' -%}
        {%- endif -%}
    {%- endfor -%}
    cast(get_path(try_parse_json({{ column }}), '{{ written.path }}') as varchar)
{%- endmacro %}

{#- One row per item of a JSON array held in a text column: a from-clause that joins `relation`
    with its items. Columns: those of the relation, `item` (JSON text) and `item_index` (from 0).
    Rows whose array is empty, null or no array give no rows. -#}
{% macro json_array_items(relation, column) -%}
    {{ return(adapter.dispatch('json_array_items')(relation, column)) }}
{%- endmacro %}

{% macro duckdb__json_array_items(relation, column) -%}
    (
        select
            parent.*,
            cast(items.value as varchar) as item,
            cast(items.key as integer) as item_index
        from {{ relation }} as parent, json_each(parent.{{ column }}) as items
        where json_type(parent.{{ column }}) = 'ARRAY'
    )
{%- endmacro %}

{% macro snowflake__json_array_items(relation, column) -%}
    (
        select
            parent.*,
            cast(items.value as varchar) as item,
            cast(items.index as integer) as item_index
        from {{ relation }} as parent,
            lateral flatten(input => try_parse_json(parent.{{ column }})) as items
        where typeof(try_parse_json(parent.{{ column }})) = 'ARRAY'
    )
{%- endmacro %}
