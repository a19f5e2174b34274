"""Axe, which finds what keeps people from using a page."""

from axe_playwright_python.sync_playwright import Axe

# Axe would fetch stylesheets, which a page from disk may not.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}


def serious(page, context=None):
    """Return the rules that the page breaks, each with a place and why."""
    found = Axe().run(page, context, OPTIONS).response["violations"]
    return {
        one["id"]: (one["nodes"][0]["html"], one["nodes"][0]["failureSummary"])
        for one in found
        if one["impact"] in ("serious", "critical")
    }
