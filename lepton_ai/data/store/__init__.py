"""The store: data sets that last, each change of one a version of its own."""

from lepton_ai.data.store.versions import Version, list_versions, open_version, store_version

__all__ = ["Version", "list_versions", "open_version", "store_version"]
