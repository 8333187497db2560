"""What the ``spikevox`` command does, a file a group of verbs; each adds its verbs to the parser by ``add_verbs``."""
