"""The hub's Python half: its loop and watchers, who is told what, and what is seen of it.

Nothing here is public: fibril.hub has what users need.
"""
