"""One file a revision, named and numbered by it."""
