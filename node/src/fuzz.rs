//! Queries that are not what they should be: refused in words, or read.

use axum::http::Uri;
use holdfast_api::Cursor;
use holdfast_fuzz::{cases, damaged, edits};
use holdfast_model::StoreId;
use proptest::prelude::*;

use crate::read::Params;

const KNOWN: [&str; 5] = ["after", "limit", "storeId", "verbose", "cursor"];

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn any_query_is_refused_in_words_or_read(edits in edits(), text in "\\PC{0,60}") {
        let whole = b"/a?after=7&limit=10&storeId=S1&verbose&cursor=0197f1d2.42&%20=%ff";
        let damaged = String::from_utf8_lossy(&damaged(whole, &edits)).into_owned();
        for uri in [damaged, format!("/a?{text}")].iter().filter_map(|uri| uri.parse::<Uri>().ok()) {
            match Params::of(&uri, &KNOWN) {
                Ok(params) => {
                    let limit = params.limit();
                    prop_assert!(limit.as_ref().map_or(true, |limit| (1..=10_000).contains(limit)));
                    let refused = [
                        limit.err(),
                        params.number("after").err(),
                        params.flag("verbose").err(),
                        params.id::<StoreId>("storeId").err(),
                        params.id::<Cursor>("cursor").err(),
                    ];
                    prop_assert!(refused.into_iter().flatten().all(|problem| problem.status == 400));
                }
                Err(problem) => prop_assert_eq!(problem.status, 400),
            }
        }
    }
}
