{#- Creates the raw tables that nothing was loaded into yet, so that the project builds before its
    first load and a table without data is empty, not missing. Columns and types are those of the
    sources, which are rendered from the contracts. -#}
{% macro create_missing_raw_tables() %}
    {% if execute and flags.WHICH in ('build', 'run', 'test', 'snapshot', 'compile') %}
        {% set schemas = [] %}
        {% for source in graph.sources.values() if source.package_name == project_name %}
            {% if source.schema not in schemas %}
                {% do schemas.append(source.schema) %}
                {% do run_query('create schema if not exists ' ~ source.schema) %}
            {% endif %}
            {% if not load_relation(source_relation(source)) %}
                {% set columns = [] %}
                {% for column in source.columns.values() %}
                    {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
                {% endfor %}
                {% do run_query(
                    'create table if not exists ' ~ source_relation(source)
                    ~ ' (' ~ columns | join(', ') ~ ')'
                ) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{% macro source_relation(source) %}
    {{ return(api.Relation.create(
        database=source.database, schema=source.schema, identifier=source.identifier
    )) }}
{% endmacro %}
