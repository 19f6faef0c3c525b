"""Other people's networks as lib/decoding/ sees them, a class or a family a file; folders are looked through first."""
