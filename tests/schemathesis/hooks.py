"""What the generated requests are not to be."""

import schemathesis

TIMEOUT = "Holdfast-Timeout-Ms"
# A node works on a change for so long at most.
LONGEST_MS = 5000


@schemathesis.hook
def filter_case(context, case):
    """A header that nobody knows is to be passed over (RFC 9110, section 5.1), not refused."""
    return "x-schemathesis-unknown-property" not in (case.headers or {})


@schemathesis.hook
def map_case(context, case):
    """A caller who waits for a millisecond gets no answer that tells anything."""
    text = str((case.headers or {}).get(TIMEOUT, ""))
    if text.isascii() and text.isdigit() and 0 < int(text) < LONGEST_MS:
        case.headers[TIMEOUT] = str(LONGEST_MS)
    return case
