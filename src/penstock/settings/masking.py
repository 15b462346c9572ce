"""Values as they may be shown: without the passwords and keys that are in URLs."""

from __future__ import annotations

MASK = "***"
_HIDDEN_KEYS = (
    r"(?:[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|signature))"
)


def masked(text: str) -> str:
    """Give a text with the passwords and the secret query keys of URLs in it replaced.

    Example:
        >>> masked("postgresql://ann:hunter2@db/runs?sslpassword=x&sslmode=require")
        'postgresql://ann:***@db/runs?sslpassword=***&sslmode=require'
    """
    if "://" not in text:
        return text
    import re

    # To the last @ before the path: a password may have one itself.
    text = re.sub(r"(://[^/\s:@]*):[^/\s]*@", rf"\1:{MASK}@", text)
    return re.sub(rf"(?i)([?&]{_HIDDEN_KEYS}=)[^&\s#'\"]*", rf"\1{MASK}", text)
