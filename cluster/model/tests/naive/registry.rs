//! What is kept for stores: subscriptions and dead letters, in the order in which they came.

use holdfast_model::{
    DeadLetterId, DeadLetterView, LetterAction, LetterStatus, Outcome, Refusal, Seq, StoreId,
    SubscriptionAction, SubscriptionId, SubscriptionView, UtcMillis,
};

use super::{Decision, Naive};

/// What a letter counts for beside its body.
const LETTER_BYTES: u64 = 512;

impl Naive {
    pub fn subscription_view(&self, id: SubscriptionId) -> Option<SubscriptionView> {
        self.subscriptions.iter().find(|known| known.subscription == id).cloned()
    }

    pub fn subscription_views(&self, store: Option<&StoreId>) -> Vec<SubscriptionView> {
        let of_store = |known: &&SubscriptionView| store.is_none_or(|store| known.store == *store);
        self.subscriptions.iter().filter(of_store).cloned().collect()
    }

    pub fn letter_view(&self, id: DeadLetterId) -> Option<DeadLetterView> {
        self.letter_views(None).into_iter().find(|known| known.letter == id)
    }

    pub fn letter_views(&self, store: Option<&StoreId>) -> Vec<DeadLetterView> {
        let of_store = |known: &&DeadLetterView| store.is_none_or(|store| known.store == *store);
        let offset = self.utc_offset_ms.unwrap_or(0);
        let shown =
            |known: &DeadLetterView| DeadLetterView { at_utc: known.at.to_utc(offset), ..known.clone() };
        self.letters.iter().filter(of_store).map(shown).collect()
    }

    pub(super) fn act_on_subscription(
        &mut self,
        id: SubscriptionId,
        action: &SubscriptionAction,
    ) -> Decision {
        let known = self.subscription_view(id);
        match (action, known) {
            (SubscriptionAction::Unsubscribe, None) => Err(Refusal::UnknownSubscription { subscription: id }),
            (SubscriptionAction::Unsubscribe, Some(_)) => {
                self.subscriptions.retain(|known| known.subscription != id);
                Ok((Outcome::Unsubscribed(id), None))
            }
            (SubscriptionAction::Subscribe { store, url, secret, description }, None) => {
                let limit = self.config.max_subscriptions;
                if self.subscriptions.len() as u64 >= limit {
                    return Err(Refusal::SubscriptionsFull { limit });
                }
                self.subscriptions.push(SubscriptionView {
                    subscription: id,
                    store: store.clone(),
                    url: url.clone(),
                    secrets: vec![secret.clone()],
                    description: description.clone(),
                });
                Ok((Outcome::Subscribed(id), None))
            }
            (SubscriptionAction::Subscribe { store, url, secret, description }, Some(known)) => {
                if known.store != *store || known.url != *url || known.description != *description {
                    return Err(Refusal::SubscriptionExists { subscription: id });
                }
                if known.secrets.contains(secret) {
                    return Ok((Outcome::Subscribed(id), Some(Seq(0))));
                }
                let secrets = [Some(secret.clone()), known.secrets.first().cloned()];
                let found = self.subscriptions.iter_mut().find(|known| known.subscription == id);
                found.expect("it was looked up").secrets = secrets.into_iter().flatten().collect();
                Ok((Outcome::Subscribed(id), None))
            }
        }
    }

    pub(super) fn act_on_letter(&mut self, id: DeadLetterId, action: &LetterAction) -> Decision {
        let known = self.letter_view(id);
        match (action, known) {
            (LetterAction::Keep { store, direction, reason, body }, None) => {
                let letter = DeadLetterView {
                    letter: id,
                    store: store.clone(),
                    direction: *direction,
                    status: LetterStatus::Dead,
                    reason: reason.clone(),
                    body: body.clone(),
                    at: self.now,
                    at_utc: UtcMillis(0),
                };
                self.keep_letter(letter)
            }
            (_, None) => Err(Refusal::UnknownDeadLetter { letter: id }),
            (LetterAction::Keep { store, direction, reason, body }, Some(known)) => {
                if known.store != *store || known.direction != *direction || known.body != *body {
                    return Err(Refusal::DeadLetterExists { letter: id });
                }
                if known.status == LetterStatus::Dead {
                    return Ok((Outcome::DeadLetter(id), Some(Seq(0))));
                }
                let letter = self.find_letter(id);
                (letter.status, letter.reason) = (LetterStatus::Dead, reason.clone());
                Ok((Outcome::DeadLetter(id), None))
            }
            (LetterAction::Requeue, Some(known)) => {
                self.find_letter(id).status = LetterStatus::Requeued;
                let again = (known.status == LetterStatus::Requeued).then_some(Seq(0));
                Ok((Outcome::DeadLetter(id), again))
            }
            (LetterAction::Remove, Some(_)) => {
                self.letters.retain(|known| known.letter != id);
                Ok((Outcome::DeadLetterRemoved(id), None))
            }
        }
    }

    fn find_letter(&mut self, id: DeadLetterId) -> &mut DeadLetterView {
        self.letters.iter_mut().find(|known| known.letter == id).expect("it was looked up")
    }

    fn keep_letter(&mut self, letter: DeadLetterView) -> Decision {
        let bytes = |letter: &DeadLetterView| letter.body.as_bytes().len() as u64;
        let limit_bytes = self.config.max_dead_letter_bytes;
        if bytes(&letter) > limit_bytes {
            return Err(Refusal::DeadLetterTooLarge { limit_bytes });
        }
        let (limit, cap_bytes) = (self.config.max_dead_letters, self.config.dead_letter_cap_bytes);
        let id = letter.letter;
        let after: Vec<DeadLetterView> = self.letters.iter().cloned().chain([letter]).collect();
        let total: u64 = after.iter().map(|letter| bytes(letter) + LETTER_BYTES).sum();
        if after.len() as u64 > limit || total > cap_bytes {
            return Err(Refusal::DeadLettersFull { limit, cap_bytes });
        }
        self.letters = after;
        Ok((Outcome::DeadLetter(id), None))
    }
}
