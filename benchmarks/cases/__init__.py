"""One package for each case: its dataflow, its data, its contenders."""
