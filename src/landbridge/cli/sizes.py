"""Sizes as people read them."""


def size_text(size: int) -> str:
    """A size in bytes as people read it."""
    if size < 1000:  # noqa: PLR2004 - decimal units
        return f"{size} B"
    value = size / 1000
    for unit in ("kB", "MB", "GB"):
        if round(value, 1) < 1000:  # noqa: PLR2004 - decimal units
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
