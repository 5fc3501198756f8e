-- Items of the orders that were placed in the play.
select * from order_item_states
