{#- The path of a page, from a URL, a path or a bare page name, so that clicks and app events name a
    page alike: lower case, without host, query and trailing slash, with a leading slash.

    A path that holds somebody's e-mail address ends where it does: pages are counted and sent on. -#}
{% macro page_path(page) -%}
    {%- set bare = "split_part(split_part(lower(trim(" ~ page ~ ")), '?', 1), '#', 1)" -%}
    {#- behind '//' comes the host, behind the host's slash the path -#}
    {%- set host_and_path = "split_part(" ~ bare ~ ", '//', 2)" -%}
    case when trim({{ page }}) <> '' then
        '/' || regexp_replace(
            trim(
                case
                    when {{ bare }} like '%://%' and {{ host_and_path }} like '%/%'
                        then substr({{ host_and_path }}, position('/' in {{ host_and_path }}))
                    when {{ bare }} like '%://%' then ''
                    else {{ bare }}
                end,
                '/'
            ),
            '[^/]*(@|%40).*',
            '[address]'
        )
    end
{%- endmacro %}
