//! The HTTP contract: routes, bodies and error codes. Both sides compile against it.
