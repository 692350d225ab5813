"""What the local site and the sandboxes share: an HTTP server within the process, and faults on purpose."""
