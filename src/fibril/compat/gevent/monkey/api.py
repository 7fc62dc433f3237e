"""gevent.monkey.api, served by fibril."""

from fibril.monkey import get_original, patch_item, patch_module, remove_item

__all__ = ["get_original", "patch_item", "patch_module", "remove_item"]
