"""What lies beneath sockets and files: names, retries, connections. Nothing here is public."""
