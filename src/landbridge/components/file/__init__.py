"""File formats, compression, encryption and markers."""
