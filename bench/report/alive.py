"""What a page says while trials still run: that it is to be loaded again, until it is whole or nobody redraws it."""

from __future__ import annotations

import re

MARK = '<meta charset="utf-8">\n'
"""What comes first in a page's head."""


def refreshing(page: str, every_s: float) -> str:
    """A page that loads itself again after so many seconds, one at least.

    Example:
        >>> print(refreshing("<head>" + MARK + "</head>", 9.6))
        <head><meta charset="utf-8">
        <meta http-equiv="refresh" content="10">
        </head>
    """
    return page.replace(MARK, f'{MARK}<meta http-equiv="refresh" content="{max(1, round(every_s))}">\n', 1)


def without_auto_refresh(page: str) -> str:
    """The page as it is drawn when nobody watches.

    Example:
        >>> settled(refreshing(MARK, 3.0)) == MARK
        True
    """
    return re.sub(re.escape(MARK) + r'<meta http-equiv="refresh" content="\d+">\n', MARK, page, count=1)
