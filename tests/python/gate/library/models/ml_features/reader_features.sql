select
    reader_id,
    count(*) as loan_count,
    max(loaded_at) as loaded_at
from {{ ref('stg_loans') }}
group by reader_id
