//! Signatures as Standard Webhooks 1.0 has them: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// What a secret's text starts with.
const PREFIX: &str = "whsec_";
/// The least and most bytes of a secret, as the specification asks.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Reads what the cluster has accepted, which is less strict about the last bits than the encoding is.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A secret that a store and this service share. It is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one: 244 random bits.
    pub fn random() -> Self {
        Self([Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat())
    }

    /// One that the cluster keeps.
    ///
    /// # Errors
    /// When it is none, in words that do not tell it.
    pub fn kept(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix(PREFIX).and_then(|rest| LENIENT.decode(rest).ok());
        bytes.map(Self).ok_or_else(|| "a secret that the cluster keeps cannot be read".to_owned())
    }

    /// Its text, prefix and all.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "a secret must be {PREFIX:?} and the base64 of {} to {} bytes",
                BYTES.start(),
                BYTES.end()
            )
        };
        let bytes =
            text.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok()).ok_or_else(wrong)?;
        if BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(wrong()) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The header of signatures: one for each live secret, so that a receiver may know either.
pub fn signatures(secrets: &[Secret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signed: Vec<String> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "whsec_aG9sZGZhc3Qgc2lnbnMgd2hhdCBpdCBzZW5kcyE=";

    #[test]
    fn a_signature_is_the_one_that_the_reference_library_makes() {
        let secret: Secret = TEXT.parse().unwrap();
        let body = br#"{"type":"stock.movements"}"#;
        let expected = "v1,x69jXozpFyPmd9P01eFnqowrjxC9NqtH4kHgas/BZLk=";
        assert_eq!(secret.sign("msg_1", 1_795_525_500, body), expected);
        assert_ne!(secret.sign("msg_1", 1_795_525_501, body), expected);
        let other = Secret::random();
        let both = signatures(&[other.clone(), secret], "msg_1", 1_795_525_500, body);
        assert_eq!(both, format!("{} {expected}", other.sign("msg_1", 1_795_525_500, body)));
    }

    #[test]
    fn a_secret_is_read_as_it_is_written_and_is_not_shown() {
        let secret = Secret::random();
        assert_eq!(secret.text().parse::<Secret>().unwrap(), secret);
        assert!(!format!("{secret:?}").contains(&secret.text()[6..]));
        assert_eq!(Secret::kept(&secret.text()).unwrap(), secret);
        assert!(Secret::kept("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=").is_ok());
        for bad in ["", "whsec_", "whsec_AAAA", "aG9sZGZhc3Qgc2lnbnMgd2hhdCBpdCBzZW5kcyE=", "whsec_*"] {
            assert!(bad.parse::<Secret>().is_err(), "{bad:?}");
        }
    }
}
