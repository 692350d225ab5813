"""JavaScript of a dataflow: an isolate in a process of its own, and how records cross into it and back."""
