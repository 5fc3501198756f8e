-- What a euro costs, as Frankfurter says it: each working day.
select
    to_json({
        'amount': 1.0,
        'base': coalesce(asked('base'), 'EUR'),
        'date': strftime(
            play.until()::date
            - case dayofweek(play.until()) when 0 then 2 when 6 then 1 else 0 end,
            '%Y-%m-%d'
        ),
        'rates': json_group_object(currency, per_euro)
    }) as item
from (select distinct currency, per_euro from currencies where currency <> 'EUR' order by currency)
