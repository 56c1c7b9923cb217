"""Origins of pages: the shop's own, and a stranger's (chapter 01)."""

SHOP, EVIL = "https://shop.example", "https://evil.example"
