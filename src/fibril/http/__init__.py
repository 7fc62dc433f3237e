"""HTTP, thin: a library reads it, and here is what a server and WSGI add."""
