//! Settings, the ledger's start, the version of the rules; and what a reader sees of the whole.

use holdfast_model::{
    ClusterTime, Config, ConfigChange, OrderStatus, Outcome, Refusal, Seq, Setting, Stats, TransferStatus,
};

use super::{Decision, Naive};

impl Naive {
    pub fn now(&self) -> ClusterTime {
        self.now
    }

    pub fn utc_offset_ms(&self) -> Option<i64> {
        self.utc_offset_ms
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn ledger_start(&self) -> Seq {
        self.ledger_start
    }

    pub fn model_version(&self) -> u32 {
        self.model_version
    }

    pub fn next_deadline(&self) -> Option<ClusterTime> {
        self.holds.iter().filter(|hold| hold.ended.is_none()).filter_map(|hold| hold.deadline).min()
    }

    pub fn stats(&self) -> Stats {
        let count = |matching: usize| matching as u64;
        let shipped = |status: TransferStatus| status == TransferStatus::Shipped;
        let is_placed = |status: OrderStatus| status == OrderStatus::Placed;
        Stats {
            rows: count(self.rows.len()),
            holds_open: count(self.holds.iter().filter(|hold| hold.ended.is_none()).count()),
            holds_ended: count(self.holds.iter().filter(|hold| hold.ended.is_some()).count()),
            holds_due: count(self.holds.iter().filter(|hold| hold.is_due(self.now)).count()),
            transfers_open: count(
                self.transfers.iter().filter(|transfer| shipped(transfer.view.status)).count(),
            ),
            orders_placed: count(self.orders.iter().filter(|order| is_placed(order.status)).count()),
            orders_ended: count(self.orders.iter().filter(|order| !is_placed(order.status)).count()),
            refunds_due: count(self.orders.iter().filter(|order| order.is_refund_due()).count()),
            subscriptions: count(self.subscriptions.len()),
            dead_letters: count(self.letters.len()),
            keys: count(self.keys.len()),
            events: count(self.events.len()),
        }
    }

    pub(super) fn configure(&mut self, changes: &[ConfigChange]) -> Decision {
        let mut config = self.config.clone();
        for change in changes {
            let (min, max) = change.setting.range();
            if !(min..=max).contains(&change.value) {
                return Err(Refusal::SettingOutOfRange { setting: change.setting, min, max });
            }
            *setting_of(&mut config, change.setting) = change.value;
        }
        if config.ended_window_ms < config.key_window_ms {
            let is_set = |setting| changes.iter().any(|change| change.setting == setting);
            let (setting, min, max) = if is_set(Setting::EndedWindowMs) {
                (Setting::EndedWindowMs, config.key_window_ms, Setting::EndedWindowMs.range().1)
            } else {
                (Setting::KeyWindowMs, Setting::KeyWindowMs.range().0, config.ended_window_ms)
            };
            return Err(Refusal::SettingOutOfRange { setting, min, max });
        }
        self.config = config;
        Ok((Outcome::Configured(self.config.clone()), None))
    }

    pub(super) fn trim(&mut self, before: Seq) -> Decision {
        let last = self.last_seq();
        if before > last.next() {
            return Err(Refusal::SeqAhead { last });
        }
        if before > self.ledger_start {
            self.ledger_start = before;
            self.trimmed = Some(before);
        }
        Ok((Outcome::Trimmed(self.ledger_start), None))
    }

    pub(super) fn raise(&mut self, to: u32) -> Decision {
        if to == self.model_version {
            return Ok((Outcome::ModelVersion(to), Some(Seq(0))));
        }
        Err(Refusal::ModelVersion { current: self.model_version, supported: 1 })
    }
}

fn setting_of(config: &mut Config, setting: Setting) -> &mut u64 {
    match setting {
        Setting::KeyWindowMs => &mut config.key_window_ms,
        Setting::KeyTableCapBytes => &mut config.key_table_cap_bytes,
        Setting::EventWindowMs => &mut config.event_window_ms,
        Setting::EventTableCapBytes => &mut config.event_table_cap_bytes,
        Setting::EndedWindowMs => &mut config.ended_window_ms,
        Setting::ExpiriesPerEntry => &mut config.expiries_per_entry,
        Setting::MaxHoldLines => &mut config.max_hold_lines,
        Setting::MaxTtlMs => &mut config.max_ttl_ms,
        Setting::MaxOrderPayments => &mut config.max_order_payments,
        Setting::MaxSubscriptions => &mut config.max_subscriptions,
        Setting::MaxDeadLetters => &mut config.max_dead_letters,
        Setting::DeadLetterCapBytes => &mut config.dead_letter_cap_bytes,
        Setting::MaxDeadLetterBytes => &mut config.max_dead_letter_bytes,
    }
}
