"""What a change of contracts breaks, for whom, and whether it is covered: the pull-request gate."""
