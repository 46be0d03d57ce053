//! The inventory service of one member.
