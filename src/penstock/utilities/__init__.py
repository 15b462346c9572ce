"""Small rooms at the bottom of the house: each is about one thing and imports nothing above it."""
