"""Where a call runs: native threads that take jobs, and the ways to hand calls to them."""
