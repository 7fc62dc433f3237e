"""eventlet.green, served by fibril: modules whose waiting lets others run, patched or not."""
