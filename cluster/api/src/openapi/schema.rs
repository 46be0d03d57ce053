//! Schemas of fields whose Rust type says less than what they take.

use holdfast_model::Setting;
use schemars::{Schema, SchemaGenerator, json_schema};

/// No quantity and no total passes this.
pub const MAX_TOTAL: u64 = holdfast_model::MAX_TOTAL;
/// No correction passes this, up or down.
pub const MAX_DELTA: i64 = MAX_TOTAL.cast_signed();
/// The longest life of a hold that the settings can allow, in seconds.
pub const MAX_TTL_SECONDS: u64 = Setting::MaxTtlMs.range().1 / 1000;

/// A moment in UTC (RFC 3339). Of the days that only some months have none is said to be one.
const UTC: &str = concat!(
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z$"
);

/// A moment in UTC.
pub fn utc(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": UTC, "examples": ["2999-01-01T08:00:00Z"]})
}

/// A moment in UTC, or none.
pub fn optional_utc(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "null"], "pattern": UTC, "examples": ["2999-01-01T08:00:00Z"]})
}

/// Any bytes as base64.
pub fn base64(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?$",
        "examples": ["e29vcHM="],
    })
}
