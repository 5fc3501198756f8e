{#- The test of a table's contract: every rule counted, all row rules in one scan of the table.
    Returns a row (rule, violations, severity) for each rule that is broken, and fails where one of
    them is an error; `warns` marks those that only warn. `rules` is rendered from the contract;
    what a rule may hold stands in waypoint/contracts/rules.py. -#}
{% test contract_rules(model, rules) %}

{#- dbt puts these behind the number of rows that are returned -#}
{{ config(warn_if="!= 0", error_if="!= 0 and min(severity) = 'error'") }}

{%- set row_rules = [] -%}
{%- for rule in rules if rule.condition or rule.pattern or rule.filled -%}
    {%- do row_rules.append(rule) -%}
{%- endfor -%}

with
{% if row_rules %}
counted as (
    select
        {% for rule in row_rules -%}
        {{ row_rule_count(rule) }} as rule_{{ loop.index }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from {{ model }}
),
{% endif %}

checked as (
    {% for rule in row_rules -%}
    select {{ named_rule(rule) }}, rule_{{ loop.index }} as violations from counted
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
    {%- for rule in rules if not (rule.condition or rule.pattern or rule.filled) -%}
    {% if row_rules or not loop.first %}union all{% endif %}
    {{ set_rule_count(model, rule) }}
    {% endfor %}
)

select rule, cast(violations as bigint) as violations, severity
from checked
where violations > 0

{% endtest %}


{#- How often a rule is broken, as an aggregate over the table's rows. A column without any value
    is broken once, where there are so many rows that it is no accident. -#}
{% macro row_rule_count(rule) -%}
    {%- if rule.filled -%}
        case when count(*) >= 100 and count({{ rule.filled }}) = 0 then 1 else 0 end
    {%- else -%}
        sum(case when {{ row_rule_condition(rule) }} then 1 else 0 end)
    {%- endif -%}
{%- endmacro %}


{% macro named_rule(rule) -%}
    cast('{{ rule.name }}' as varchar) as rule,
    cast('{{ 'warning' if rule.warns else 'error' }}' as varchar) as severity
{%- endmacro %}


{% macro row_rule_condition(rule) -%}
    {%- if rule.pattern -%}
        not {{ matches_pattern(rule.column, rule.pattern) }}
    {%- else -%}
        {{ rule.condition }}
    {%- endif -%}
{%- endmacro %}


{#- How often a rule over more than single rows is broken: keys, references, queries. -#}
{% macro set_rule_count(model, rule) -%}
    select {{ named_rule(rule) }}, violations from (
    {%- if rule.unique %}
        select count(*) as violations from (
            select {{ rule.unique | join(', ') }}
            from {{ model }}
            where {{ rule.unique | join(' is not null and ') }} is not null
            group by {{ rule.unique | join(', ') }}
            having count(*) > 1
        ) as repeated
    {%- elif rule.references %}
        select count(*) as violations
        from {{ model }} as child
        left join (select distinct {{ rule.field }} from {{ ref(rule.references) }}) as parent
            on child.{{ rule.column }} = parent.{{ rule.field }}
        where child.{{ rule.column }} is not null and parent.{{ rule.field }} is null
    {%- else %}
        select violations from (
            {{ query_over_relations(model, rule) }}
        ) as answer (violations)
    {%- endif %}
    ) as counted_{{ loop_safe_name(rule.name) }}
{%- endmacro %}


{% macro loop_safe_name(name) -%}
    {{ name | replace('-', '_') | replace(' ', '_') }}
{%- endmacro %}


{#- A rule's query with `{object}` and `{schema.table}` as relations. -#}
{% macro query_over_relations(model, rule) -%}
    {%- set text = namespace(sql=rule.query | replace('{object}', model | string)) -%}
    {%- for name in rule.relations or [] -%}
        {%- set schema, table = name.split('.') -%}
        {%- set relation = source(schema, table) if schema == 'raw' else ref(table) -%}
        {%- set text.sql = text.sql | replace('{' ~ name ~ '}', relation | string) -%}
    {%- endfor -%}
    {{ text.sql }}
{%- endmacro %}
