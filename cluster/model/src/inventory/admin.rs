//! Policies, retirement, settings, the ledger's start and the version of the rules.

use xxhash_rust::xxh3::xxh3_128;

use super::{By, Decision, Done, Inventory, SUPPORTED_MODEL_VERSION, Step};
use crate::{
    Cause, Config, ConfigChange, ItemId, MAX_TOTAL, MovementKind, Outcome, Policy, Refusal, Seq, Setting,
    StoreId,
};

impl Inventory {
    #[expect(clippy::too_many_arguments, reason = "the fields of the command")]
    pub(super) fn set_policy(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        safety_stock: Option<u64>,
        backorder_limit: Option<u64>,
        expected_version: Option<u64>,
    ) -> Decision {
        let ix = self.known_row(store, item)?;
        self.check_version(ix, expected_version)?;
        let old = self.rows.get(ix).policy;
        let policy = Policy {
            safety_stock: safety_stock.unwrap_or(old.safety_stock),
            backorder_limit: backorder_limit.unwrap_or(old.backorder_limit),
        };
        if policy.safety_stock > MAX_TOTAL || policy.backorder_limit > MAX_TOTAL {
            return Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(ix)) });
        }
        if policy != old {
            self.book(step, by, ix, (MovementKind::Policy, 0, Cause::Policy(policy)), |row| {
                row.policy = policy;
            });
        }
        Ok(self.row_done(ix))
    }

    pub(super) fn retire_sku(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        remove: bool,
    ) -> Decision {
        let ix = self.known_row(store, item)?;
        let was_retired = self.rows.get(ix).retired;
        if !remove {
            if was_retired {
                let last_seq = Seq(self.rows.get(ix).last_seq);
                return Ok(Done::before(Outcome::Row(self.row_view(ix)), last_seq));
            }
            self.book(step, by, ix, (MovementKind::Retired, 0, Cause::Row), |row| row.retired = true);
            return Ok(self.row_done(ix));
        }
        self.check_empty(step, ix)?;
        if !was_retired {
            self.book(step, by, ix, (MovementKind::Retired, 0, Cause::Row), |row| row.retired = true);
        }
        self.book(step, by, ix, (MovementKind::Retired, 0, Cause::Row), |_| {});
        let view = self.row_view(ix);
        self.sums.stock = self.sums.stock.wrapping_sub(self.row_digest(ix));
        self.rows.remove(ix);
        Ok(Done::now(Outcome::Removed(view)))
    }

    fn check_empty(&mut self, step: &mut Step, ix: u32) -> Result<(), Refusal> {
        if self.rows.get(ix).reserved > 0 {
            self.expire_due_on(step, &[ix]);
        }
        let row = self.rows.get(ix);
        let in_transit = self.transfers.in_transit(row.store, row.item);
        if row.available == 0 && row.reserved == 0 && in_transit == 0 {
            return Ok(());
        }
        let (on_hand, reserved) = (row.on_hand(), row.reserved);
        Err(Refusal::NotEmpty { row: self.row_key(ix), on_hand, reserved, in_transit })
    }

    pub(super) fn configure(&mut self, changes: &[ConfigChange]) -> Decision {
        let mut config = self.config.clone();
        for &change in changes {
            let (min, max) = change.setting.range();
            if change.value < min || change.value > max {
                return Err(Refusal::SettingOutOfRange { setting: change.setting, min, max });
            }
            config.set(change);
        }
        check_windows(&config, changes)?;
        self.config = config;
        Ok(Done::now(Outcome::Configured(self.config.clone())))
    }

    pub(super) fn trim_ledger(&mut self, step: &mut Step, before: Seq) -> Decision {
        let last = self.clock.last_seq;
        if before > last.next() {
            return Err(Refusal::SeqAhead { last });
        }
        if before > self.clock.ledger_start {
            self.clock.ledger_start = before;
            step.trim_before = Some(before);
        }
        Ok(Done::now(Outcome::Trimmed(self.clock.ledger_start)))
    }

    pub(super) fn raise_model_version(&mut self, to: u32) -> Decision {
        let current = self.clock.model_version;
        if to < current || to > SUPPORTED_MODEL_VERSION {
            return Err(Refusal::ModelVersion { current, supported: SUPPORTED_MODEL_VERSION });
        }
        self.clock.model_version = to;
        let outcome = Outcome::ModelVersion(to);
        Ok(if to == current { Done::before(outcome, Seq(0)) } else { Done::now(outcome) })
    }

    pub(super) fn add_shortfall(&mut self, item: u32, qty: u64) {
        let before = self.shortfall_digest(item);
        self.transfers.add_shortfall(item, qty);
        let after = self.shortfall_digest(item);
        self.sums.transfers = self.sums.transfers.wrapping_sub(before).wrapping_add(after);
    }

    fn shortfall_digest(&self, item: u32) -> u128 {
        let Some(qty) = self.transfers.shortfalls.get(&item) else { return 0 };
        shortfall_digest(self.items.hash(item), *qty)
    }
}

/// An item's shortfall, as its share of the digest.
pub(super) fn shortfall_digest(item_hash: u128, qty: u64) -> u128 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&item_hash.to_le_bytes());
    bytes[16..].copy_from_slice(&qty.to_le_bytes());
    xxh3_128(&bytes)
}

/// A key remembers a hold by its id alone, so a hold must be remembered for at least as long as a key.
fn check_windows(config: &Config, changes: &[ConfigChange]) -> Result<(), Refusal> {
    if config.ended_window_ms >= config.key_window_ms {
        return Ok(());
    }
    let names_ended = changes.iter().any(|change| change.setting == Setting::EndedWindowMs);
    let (setting, min, max) = if names_ended {
        (Setting::EndedWindowMs, config.key_window_ms, Setting::EndedWindowMs.range().1)
    } else {
        (Setting::KeyWindowMs, Setting::KeyWindowMs.range().0, config.ended_window_ms)
    };
    Err(Refusal::SettingOutOfRange { setting, min, max })
}
