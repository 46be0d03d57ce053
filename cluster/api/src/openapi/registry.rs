//! Subscriptions and dead letters, as a node keeps them.

use holdfast_model::StoreId;

use super::Document;
use super::answers::{DeadLetterRef, SubscriptionRef};
use crate::{
    DeadLetter, DeadLetterPage, ErrorCode as Code, NewDeadLetter, NewSubscription, Retire, Subscription,
    SubscriptionPage,
};

const SECRETS: &str = "`1` shows the secrets.";

/// What is kept for stores.
pub fn describe_registry(document: &mut Document) {
    document.tag("Subscriptions and dead letters");
    subscriptions(document);
    letters(document);
}

fn subscriptions(document: &mut Document) {
    document
        .post("/subscriptions", "createSubscription", "A subscription, or another secret for one")
        .takes::<NewSubscription>()
        .changes()
        .creates::<SubscriptionRef>("The subscription")
        .refuses(&[Code::SubscriptionExists, Code::SubscriptionsFull]);
    document
        .get("/subscriptions", "subscriptions", "Subscriptions")
        .query::<StoreId>("storeId", "Only this store's.")
        .query::<u64>("after", "`next` of the page before.")
        .query_of("secrets", &["0", "1"], SECRETS)
        .pages()
        .looks()
        .answers::<SubscriptionPage>(200, "Some subscriptions.");
    document
        .get("/subscriptions/{subscriptionId}", "subscription", "One subscription")
        .query_of("secrets", &["0", "1"], SECRETS)
        .looks()
        .answers::<Subscription>(200, "The subscription.")
        .refuses(&[Code::UnknownSubscription]);
    document
        .delete("/subscriptions/{subscriptionId}", "removeSubscription", "Ends a subscription")
        .changes()
        .answers::<SubscriptionRef>(200, "The subscription.")
        .refuses(&[Code::UnknownSubscription, Code::UnsupportedMediaType]);
}

fn letters(document: &mut Document) {
    document
        .post("/dead-letters", "keepDeadLetter", "Keeps what could not be delivered")
        .takes::<NewDeadLetter>()
        .changes()
        .creates::<DeadLetterRef>("The letter")
        .refuses(&[Code::DeadLetterExists, Code::DeadLetterTooLarge, Code::DeadLettersFull]);
    document
        .get("/dead-letters", "deadLetters", "Dead letters")
        .query::<StoreId>("storeId", "Only this store's.")
        .query::<u64>("after", "`next` of the page before.")
        .pages()
        .looks()
        .answers::<DeadLetterPage>(200, "Some letters.");
    document
        .get("/dead-letters/{deadLetterId}", "deadLetter", "One dead letter")
        .looks()
        .answers::<DeadLetter>(200, "The letter.")
        .refuses(&[Code::UnknownDeadLetter]);
    document
        .post("/dead-letters/{deadLetterId}/requeue", "requeueDeadLetter", "Marks a letter to be tried again")
        .may_take::<Retire>()
        .changes()
        .answers::<DeadLetterRef>(200, "The letter.")
        .refuses(&[Code::UnknownDeadLetter]);
    document
        .delete("/dead-letters/{deadLetterId}", "removeDeadLetter", "Takes a letter away")
        .changes()
        .answers::<DeadLetterRef>(200, "The letter.")
        .refuses(&[Code::UnknownDeadLetter, Code::UnsupportedMediaType]);
}
