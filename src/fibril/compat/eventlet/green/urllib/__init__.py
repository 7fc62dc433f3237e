"""eventlet.green.urllib, served by fibril."""
