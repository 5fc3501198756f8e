{#- One row per field of a JSON object held in a text column: a from-clause that joins `relation`
    with its fields. Columns: those of the relation, `field` (its name) and `item` (JSON text; a null
    is the text null). Rows whose object is empty, null or no object give no rows. -#}
{% macro json_fields(relation, column) -%}
    {{ return(adapter.dispatch('json_fields')(relation, column)) }}
{%- endmacro %}

{% macro duckdb__json_fields(relation, column) -%}
    (
        select
            parent.*,
            cast(items.key as varchar) as field,
            coalesce(cast(items.value as varchar), 'null') as item
        from {{ relation }} as parent, json_each(parent.{{ column }}) as items
        where json_type(parent.{{ column }}) = 'OBJECT'
    )
{%- endmacro %}

{% macro snowflake__json_fields(relation, column) -%}
    (
        select
            parent.*,
            cast(items.key as varchar) as field,
            coalesce(to_json(items.value), 'null') as item
        from {{ relation }} as parent,
            lateral flatten(input => try_parse_json(parent.{{ column }})) as items
        where typeof(try_parse_json(parent.{{ column }})) = 'OBJECT'
    )
{%- endmacro %}

{#- The opposite, an aggregate: the JSON object (text) of names and their values (JSON text). A field
    whose value is null may be left out: to `json_text` that is the same. -#}
{% macro json_object_of(field, item) -%}
    {{ return(adapter.dispatch('json_object_of')(field, item)) }}
{%- endmacro %}

{% macro duckdb__json_object_of(field, item) -%}
    cast(json_group_object({{ field }}, cast({{ item }} as json)) as varchar)
{%- endmacro %}

{% macro snowflake__json_object_of(field, item) -%}
    to_json(object_agg({{ field }}, parse_json({{ item }})))
{%- endmacro %}
