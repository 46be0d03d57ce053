//! Subscriptions and dead letters: made, changed, taken away. They move no stock, so the ledger does not tell of them.

use super::registry::{DeadLetter, LIVE_SECRETS, OfStore, Subscription, letter_bytes};
use super::{Decision, Done, Inventory};
use crate::{
    DeadLetterId, LetterAction, LetterStatus, Outcome, Refusal, Seq, SubscriptionAction, SubscriptionId,
};

impl Inventory {
    pub(super) fn act_on_subscription(
        &mut self,
        id: SubscriptionId,
        action: &SubscriptionAction,
    ) -> Decision {
        let found = self.subscriptions.find(id.uuid());
        let SubscriptionAction::Subscribe { store, url, secret, description } = action else {
            let ix = found.ok_or(Refusal::UnknownSubscription { subscription: id })?;
            let digest = self.subscriptions.remove(ix).digest();
            self.sums.registry = self.sums.registry.wrapping_sub(digest);
            return Ok(Done::now(Outcome::Unsubscribed(id)));
        };
        if let Some(ix) = found {
            let known = self.subscriptions.get(ix);
            if (&known.store, &known.url, &known.description) != (store, url, description) {
                return Err(Refusal::SubscriptionExists { subscription: id });
            }
            if known.secrets.contains(secret) {
                return Ok(Done::before(Outcome::Subscribed(id), Seq(0)));
            }
            self.change_subscription(ix, |known| {
                known.secrets.insert(0, secret.clone());
                known.secrets.truncate(LIVE_SECRETS);
            });
            return Ok(Done::now(Outcome::Subscribed(id)));
        }
        let limit = self.config.max_subscriptions;
        if self.subscriptions.len() >= limit {
            return Err(Refusal::SubscriptionsFull { limit });
        }
        let subscription = Subscription {
            id,
            store: store.clone(),
            url: url.clone(),
            secrets: vec![secret.clone()],
            description: description.clone(),
            number: self.next_number(),
        };
        self.sums.registry = self.sums.registry.wrapping_add(subscription.digest());
        self.subscriptions.insert(subscription);
        Ok(Done::now(Outcome::Subscribed(id)))
    }

    fn change_subscription(&mut self, ix: u32, change: impl FnOnce(&mut Subscription)) {
        let before = self.subscriptions.get(ix).digest();
        change(self.subscriptions.get_mut(ix));
        let after = self.subscriptions.get(ix).digest();
        self.sums.registry = self.sums.registry.wrapping_sub(before).wrapping_add(after);
    }

    /// The number of the next subscription or dead letter.
    fn next_number(&mut self) -> u64 {
        self.clock.last_number += 1;
        self.clock.last_number
    }

    pub(super) fn act_on_letter(&mut self, id: DeadLetterId, action: &LetterAction) -> Decision {
        let found = self.letters.find(id.uuid());
        let known = found.ok_or(Refusal::UnknownDeadLetter { letter: id });
        match action {
            LetterAction::Keep { store, direction, reason, body } => {
                let letter = DeadLetter {
                    id,
                    store: store.clone(),
                    direction: *direction,
                    status: LetterStatus::Dead,
                    reason: reason.clone(),
                    body: body.clone(),
                    at: self.clock.now,
                    number: 0,
                };
                match found {
                    Some(ix) => self.keep_again(ix, &letter),
                    None => self.keep_letter(letter),
                }
            }
            LetterAction::Requeue => {
                let ix = known?;
                if self.letters.get(ix).status == LetterStatus::Requeued {
                    return Ok(Done::before(Outcome::DeadLetter(id), Seq(0)));
                }
                self.change_letter(ix, |known| known.status = LetterStatus::Requeued);
                Ok(Done::now(Outcome::DeadLetter(id)))
            }
            LetterAction::Remove => {
                let letter = self.letters.remove(known?);
                self.letter_bytes -= letter.bytes();
                self.sums.registry = self.sums.registry.wrapping_sub(letter.digest());
                Ok(Done::now(Outcome::DeadLetterRemoved(id)))
            }
        }
    }

    fn keep_letter(&mut self, letter: DeadLetter) -> Decision {
        let limit_bytes = self.config.max_dead_letter_bytes;
        if letter.body.as_bytes().len() as u64 > limit_bytes {
            return Err(Refusal::DeadLetterTooLarge { limit_bytes });
        }
        let (limit, cap_bytes) = (self.config.max_dead_letters, self.config.dead_letter_cap_bytes);
        let bytes = self.letter_bytes.saturating_add(letter_bytes(&letter.body));
        if self.letters.len() >= limit || bytes > cap_bytes {
            return Err(Refusal::DeadLettersFull { limit, cap_bytes });
        }
        let letter = DeadLetter { number: self.next_number(), ..letter };
        self.letter_bytes = bytes;
        self.sums.registry = self.sums.registry.wrapping_add(letter.digest());
        let id = letter.id;
        self.letters.insert(letter);
        Ok(Done::now(Outcome::DeadLetter(id)))
    }

    /// A letter that comes again was tried again in vain: it waits for a person once more, for the reason of now.
    fn keep_again(&mut self, ix: u32, again: &DeadLetter) -> Decision {
        let known = self.letters.get(ix);
        if (&known.store, known.direction, &known.body) != (&again.store, again.direction, &again.body) {
            return Err(Refusal::DeadLetterExists { letter: known.id });
        }
        let outcome = Outcome::DeadLetter(known.id);
        if known.status == LetterStatus::Dead {
            return Ok(Done::before(outcome, Seq(0)));
        }
        self.change_letter(ix, |known| {
            known.status = LetterStatus::Dead;
            known.reason = again.reason.clone();
        });
        Ok(Done::now(outcome))
    }

    fn change_letter(&mut self, ix: u32, change: impl FnOnce(&mut DeadLetter)) {
        let before = self.letters.get(ix).digest();
        change(self.letters.get_mut(ix));
        let after = self.letters.get(ix).digest();
        self.sums.registry = self.sums.registry.wrapping_sub(before).wrapping_add(after);
    }
}
