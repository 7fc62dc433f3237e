"""gevent.fileobject, served by fibril."""

from fibril.fileobject import FileObject, FileObjectBlock, FileObjectPosix, FileObjectThread

__all__ = ["FileObject", "FileObjectBlock", "FileObjectPosix", "FileObjectThread"]
