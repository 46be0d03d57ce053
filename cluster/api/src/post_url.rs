//! Addresses that something is posted to: checked here, at the edge, by a parser of the URL standard.
//!
//! The model's own check is smaller on purpose: it reads what is in the log already, and must say the same in every
//! release, while a parser goes by tables of international names, which its releases change.

use holdfast_model::{Command, SubscriptionAction, WebhookUrl};
use serde::{Deserialize, Deserializer, de};
use url::Url;

/// Why nothing can be posted to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("url: nothing can be posted there: {0}")]
pub struct PostUrlError(String);

/// Checks that something can be posted to an address: one of a host, and of a port that can be listened at.
///
/// # Errors
/// When it cannot, in words.
pub fn check_post_url(url: &WebhookUrl) -> Result<(), PostUrlError> {
    let parsed = Url::parse(url.as_str()).map_err(|error| PostUrlError(error.to_string()))?;
    if parsed.port() == Some(0) {
        return Err(PostUrlError("nobody listens at port 0".to_owned()));
    }
    Ok(())
}

/// Reads an address that something can be posted to.
///
/// # Errors
/// When the text is none.
pub fn read_post_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WebhookUrl, D::Error> {
    let url = WebhookUrl::deserialize(deserializer)?;
    check_post_url(&url).map_err(de::Error::custom)?;
    Ok(url)
}

/// Checks the address in a command that did not come as JSON, where there is one.
///
/// # Errors
/// When nothing can be posted there.
pub fn check_post_url_in(command: &Command) -> Result<(), PostUrlError> {
    match command {
        Command::Subscription { action: SubscriptionAction::Subscribe { url, .. }, .. } => {
            check_post_url(url)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the model takes, and can be posted to.
    const GOOD: &[&str] = &[
        "http://127.0.0.1:9000/hook",
        "https://shop.example/a?b=c#d",
        "http://[::1]:8090/hook",
        "http://user:word@shop/",
        "http://xn--mnchen-3ya.example:65535",
    ];

    /// What the model takes, and cannot.
    const BAD: &[&str] = &[
        "http://[",
        "http://[::1",
        "http://[zz]/",
        "http://]",
        "http://shop:99999/",
        "http://shop:port/",
        "http://shop:0/",
        "http://1.2.3.4.5/",
        "http://999.1.1.1/",
        "http://user@/",
        "http://a<b/",
        "http://%zz/",
        "http://xn--a/",
    ];

    #[test]
    fn what_cannot_be_posted_to_is_told_apart() {
        for good in GOOD {
            assert_eq!(check_post_url(&good.parse().unwrap()), Ok(()), "{good}");
        }
        for bad in BAD {
            let error = check_post_url(&bad.parse().expect("the model takes it")).expect_err(bad).to_string();
            assert!(error.starts_with("url: nothing can be posted there: "), "{error}");
        }
    }
}
