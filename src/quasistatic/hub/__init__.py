"""Models on the Hugging Face hub: fetched into its cache, and uploaded with a card.

Needs huggingface_hub (`pip install 'quasistatic[hub]'`), which is imported when it is first used.
"""

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names

if TYPE_CHECKING:
    from .card import Card
    from .publishing import publish, write_pretrained
    from .repository import Repository

__all__ = ["Card", "Repository", "publish", "write_pretrained"]

__getattr__ = lazy_names(
    __name__,
    {"card": "Card", "publishing": "publish write_pretrained", "repository": "Repository"},
)
