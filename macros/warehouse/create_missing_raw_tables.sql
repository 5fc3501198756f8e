{#- Statements that create the raw tables which nothing was loaded into yet, so that the project
    builds before its first load and a table without data is empty, not missing. Columns and types
    are those of the sources, which are rendered from the contracts. A pull request's warehouse
    (`slim`) has no raw tables of its own: there they are views of the published ones. -#}
{% macro create_missing_raw_tables() %}
    {%- if execute and flags.WHICH in ('build', 'run', 'test', 'snapshot', 'compile') -%}
        {%- set schemas = [] -%}
        {%- for source in graph.sources.values() if source.package_name == project_name -%}
            {%- set relation = api.Relation.create(
                database=source.database, schema=source.schema, identifier=source.identifier
            ) -%}
            {%- if source.schema not in schemas -%}
                {%- do schemas.append(source.schema) -%}
                create schema if not exists {{ source.schema }};
            {%- endif -%}
            {%- set published = api.Relation.create(
                database='waypoint', schema=source.schema, identifier=source.identifier
            ) -%}
            {%- if load_relation(relation) -%}
            {%- elif target.name == 'slim' and load_relation(published) %}
                create view {{ relation }} as select * from {{ published }};
            {%- else -%}
                {%- set columns = [] -%}
                {%- for column in source.columns.values() -%}
                    {%- do columns.append(column.name ~ ' ' ~ column.data_type) -%}
                {%- endfor %}
                create table if not exists {{ relation }} ({{ columns | join(', ') }});
            {%- endif -%}
        {%- endfor -%}
        {% if schemas %}{{ commit_hook() }}{% endif %}
    {%- endif -%}
{% endmacro %}

{#- dbt rolls back what a hook left open; on DuckDB reading the catalogue above opened it. -#}
{% macro commit_hook() -%}
    {{ return(adapter.dispatch('commit_hook')()) }}
{%- endmacro %}

{% macro default__commit_hook() %}{% endmacro %}

{% macro duckdb__commit_hook() %}commit;{% endmacro %}
