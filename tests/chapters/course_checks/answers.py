"""What came back from the app."""

from workbook import expect


def fields(answer):
    """Return the fields of a JSON object; another body has none."""
    body = expect.body(answer)
    return body if isinstance(body, dict) else {}
