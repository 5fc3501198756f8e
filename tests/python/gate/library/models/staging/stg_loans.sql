select
    slip_id as loan_id,
    reader_id,
    state,
    note,
    cast('A 1' as varchar) as shelfmark,
    cast(1 as decimal(10, 2)) as fee,
    cast(1 as integer) as slip_number,
    lent_at,
    _loaded_at as loaded_at
from {{ source('raw', 'loans') }}
