//! The routes of a router, for tests that compare them with a document.

use std::collections::BTreeSet;

/// Every path with every method that it takes (`HEAD` aside, which comes with `GET`) in the debug text of an axum router,
/// which has no other way to tell them. What it cannot read is left out, so a comparison fails when the text's form changes.
#[must_use]
pub fn routes_in(router: &str) -> BTreeSet<(String, String)> {
    // Routes come first, each with its id and the methods that it allows; what paths the ids stand for comes after.
    let Some((routes, paths)) = router.split_once("node: Node { paths: {") else { return BTreeSet::new() };
    let paths = paths.split_once('}').map_or("", |_| paths);
    let path_of = |id: &str| {
        let (_, rest) = paths.split_once(&format!("RouteId({id}): \""))?;
        rest.split_once('"').map(|(path, _)| path.to_owned())
    };
    let mut found = BTreeSet::new();
    for (before, allowed) in routes
        .match_indices("allow_header: Bytes(b\"")
        .map(|(at, mark)| (&routes[..at], &routes[at + mark.len()..]))
    {
        let id = before.rsplit_once("RouteId(").and_then(|(_, rest)| rest.split_once(')')).map(|(id, _)| id);
        let methods = allowed.split_once('"').map_or("", |(methods, _)| methods);
        if let Some(path) = id.and_then(path_of) {
            let methods = methods.split(',').filter(|&method| method != "HEAD");
            found.extend(methods.map(|method| (method.to_owned(), path.clone())));
        }
    }
    found
}
