//! Blocks of a page between two marks, which the benchmark writes; what people write around them stays.

use crate::failure::{Result, fail};
use crate::parts::Part;

fn marks(name: &str) -> (String, String) {
    (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"))
}

/// A page that has nothing but the marks of every part.
pub fn empty_page() -> String {
    let parts = Part::all().into_iter().map(|part| {
        let (begin, end) = marks(part.name());
        format!("## {}\n\n{begin}\n{end}\n", part.name())
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// The page with `text` as the block `name`.
///
/// # Errors
/// When the marks of that block are not there, once each and in order.
pub fn replace(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = marks(name);
    let parts = page.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        (!after.contains(&begin) && !after.contains(&end)).then_some((before, after))
    });
    match parts {
        Some((before, after)) => Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim())),
        None => fail(format!("the page must have {begin} and {end} once, in this order")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = "Before.\n<!-- bench:hot -->\nold\n<!-- /bench:hot -->\nAfter.\n";
        let once = replace(page, "hot", "new\n").unwrap();
        assert_eq!(once, "Before.\n<!-- bench:hot -->\n\nnew\n\n<!-- /bench:hot -->\nAfter.\n");
        assert_eq!(replace(&once, "hot", "new").unwrap(), once);
    }

    #[test]
    fn a_page_without_the_marks_is_not_touched() {
        assert!(replace("Nothing here.", "hot", "new").is_err());
        assert!(replace("<!-- /bench:hot --> <!-- bench:hot -->", "hot", "new").is_err());
        let twice = "<!-- bench:hot --><!-- /bench:hot --><!-- bench:hot --><!-- /bench:hot -->";
        assert!(replace(twice, "hot", "new").is_err());
    }

    #[test]
    fn there_is_room_for_every_part() {
        for mut page in [empty_page(), include_str!("../../../../docs/PERFORMANCE.md").to_owned()] {
            for part in Part::all() {
                page = replace(&page, part.name(), "x").unwrap();
            }
        }
    }
}
