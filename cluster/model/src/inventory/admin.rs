//! Policies, retirement, settings, the ledger's start and the version of the rules.

use super::{By, Decision, Done, Inventory, RowName, SUPPORTED_MODEL_VERSION, Step};
use crate::{
    Cause, Config, ConfigChange, MAX_TOTAL, MovementKind, Outcome, Policy, Refusal, RowView, Seq, Setting,
};

impl Inventory {
    pub(super) fn set_policy(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        name: RowName<'_>,
        (safety_stock, backorder_limit): (Option<u64>, Option<u64>),
        expected_version: Option<u64>,
    ) -> Decision {
        let ix = self.known_row(name)?;
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
        name: RowName<'_>,
        remove: bool,
    ) -> Decision {
        let ix = self.known_row(name)?;
        if remove {
            self.check_empty(step, ix)?;
        }
        let row = self.rows.get(ix);
        let (was_retired, last_seq) = (row.retired, Seq(row.last_seq));
        if !was_retired {
            self.book(step, by, ix, (MovementKind::Retired, 0, Cause::Row), |row| row.retired = true);
        }
        match (remove, was_retired) {
            (true, _) => Ok(Done::now(Outcome::Removed(self.remove_row(step, by, ix)))),
            (false, true) => Ok(Done::before(Outcome::Row(self.row_view(ix)), last_seq)),
            (false, false) => Ok(self.row_done(ix)),
        }
    }

    fn check_empty(&mut self, step: &mut Step, ix: u32) -> Result<(), Refusal> {
        let row = self.rows.get(ix);
        let (on_hand, mut reserved) = (row.on_hand(), row.reserved);
        if reserved > 0 {
            reserved -= self.due_on(ix);
        }
        let under_way = self.transfers.under_way(ix);
        if on_hand == 0 && reserved == 0 && under_way == 0 {
            self.expire_due_on(step, ix, |row| row.reserved == 0);
            return Ok(());
        }
        let in_transit = u64::try_from(under_way).unwrap_or(u64::MAX);
        Err(Refusal::NotEmpty { row: self.row_key(ix), on_hand, reserved, in_transit })
    }

    /// Takes a retired row away: a second movement says so. Its transfers stay in the sums of its item.
    fn remove_row(&mut self, step: &mut Step, by: By<'_>, ix: u32) -> RowView {
        self.book(step, by, ix, (MovementKind::Retired, 0, Cause::Row), |_| {});
        let view = self.row_view(ix);
        self.sums.stock = self.sums.stock.wrapping_sub(self.row_digest(ix));
        let row = self.rows.get(ix);
        let (item, net_out) = (row.item, row.net_out());
        self.rows.remove(ix);
        self.change_sums(item, |sums| sums.net_out += net_out);
        view
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
