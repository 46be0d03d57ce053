"""What the generated requests are not to be."""

import schemathesis

TIMEOUT = "Holdfast-Timeout-Ms"
# A node works on a change for so long at most.
LONGEST_MS = 5000


@schemathesis.hook
def filter_case(context, case):
    """A header that nobody knows is to be passed over (RFC 9110, section 5.1), not refused."""
    is_refused = "x-schemathesis-unknown-property" in (case.headers or {})
    return not is_refused and not has_brackets(case.body)


def has_brackets(value):
    """Whether there is a URL that Schemathesis 4.32 cannot read when an answer shows it: its own run ends with that."""
    if isinstance(value, dict):
        return any(has_brackets(one) for one in value.values())
    if isinstance(value, list):
        return any(has_brackets(one) for one in value)
    return isinstance(value, str) and value.startswith("http") and ("[" in value or "]" in value)


@schemathesis.hook
def map_case(context, case):
    """A caller who waits for a millisecond gets no answer that tells anything."""
    text = str((case.headers or {}).get(TIMEOUT, ""))
    if text.isascii() and text.isdigit() and 0 < int(text) < LONGEST_MS:
        case.headers[TIMEOUT] = str(LONGEST_MS)
    return case
