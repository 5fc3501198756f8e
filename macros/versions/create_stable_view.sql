{#- The view that carries the name without a number of a model in versions: a post-hook of all
    versions, which acts for the one that unpinned readers get. A table of that name, from before
    there were versions, is removed: nothing builds it any more. -#}
{% macro create_stable_view() -%}
    {%- if model.version != model.latest_version -%}
        {{ return('') }}
    {%- endif -%}
    {%- set name = model.name -%}
    {%- set there = adapter.get_relation(this.database, this.schema, name) -%}
    {%- if there is not none and not there.is_view -%}
        {%- do adapter.drop_relation(there) -%}
    {%- endif -%}
    {%- set view = api.Relation.create(this.database, this.schema, name, type='view') -%}
    {{ return(adapter.dispatch('create_stable_view_of')(view, this)) }}
{%- endmacro %}


{% macro default__create_stable_view_of(view, version) -%}
    create or replace view {{ view }} as select * from {{ version }}
{%- endmacro %}


{% macro snowflake__create_stable_view_of(view, version) -%}
    create or replace view {{ view }} copy grants as select * from {{ version }}
{%- endmacro %}
