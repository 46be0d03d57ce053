//! Limits and windows that decide outcomes. They are replicated state: no node has its own.

use serde::{Deserialize, Serialize};

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const MIB: u64 = 1 << 20;

/// A limit or window that [`crate::Command::Configure`] can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Setting {
    /// How long an idempotency key is remembered, in milliseconds of cluster time.
    KeyWindowMs,
    /// How many bytes the key table may take, at 64 bytes a key.
    KeyTableCapBytes,
    /// How long a store's event id is remembered, in milliseconds of cluster time.
    EventWindowMs,
    /// How many bytes the table of events may take, at 64 bytes an event.
    EventTableCapBytes,
    /// How long an ended hold, transfer or order is remembered, in milliseconds of cluster time.
    EndedWindowMs,
    /// How many holds at most each entry expires before its own commands.
    ExpiriesPerEntry,
    /// How many lines a hold may have.
    MaxHoldLines,
    /// How long a hold may last, in milliseconds.
    MaxTtlMs,
    /// How many payments an order may keep; one that succeeded is kept beyond that too.
    MaxOrderPayments,
    /// How many webhook subscriptions there may be.
    MaxSubscriptions,
    /// How many dead letters there may be.
    MaxDeadLetters,
    /// How many bytes all dead letters may take, at their length and 512 bytes each.
    DeadLetterCapBytes,
    /// How many bytes a dead letter may have.
    MaxDeadLetterBytes,
}

/// One change of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// What to change.
    pub setting: Setting,
    /// Its new value.
    pub value: u64,
}

/// All settings, as they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// See [`Setting::KeyWindowMs`].
    pub key_window_ms: u64,
    /// See [`Setting::KeyTableCapBytes`].
    pub key_table_cap_bytes: u64,
    /// See [`Setting::EventWindowMs`].
    pub event_window_ms: u64,
    /// See [`Setting::EventTableCapBytes`].
    pub event_table_cap_bytes: u64,
    /// See [`Setting::EndedWindowMs`].
    pub ended_window_ms: u64,
    /// See [`Setting::ExpiriesPerEntry`].
    pub expiries_per_entry: u64,
    /// See [`Setting::MaxHoldLines`].
    pub max_hold_lines: u64,
    /// See [`Setting::MaxTtlMs`].
    pub max_ttl_ms: u64,
    /// See [`Setting::MaxOrderPayments`].
    pub max_order_payments: u64,
    /// See [`Setting::MaxSubscriptions`].
    pub max_subscriptions: u64,
    /// See [`Setting::MaxDeadLetters`].
    pub max_dead_letters: u64,
    /// See [`Setting::DeadLetterCapBytes`].
    pub dead_letter_cap_bytes: u64,
    /// See [`Setting::MaxDeadLetterBytes`].
    pub max_dead_letter_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            key_window_ms: DAY_MS,
            key_table_cap_bytes: 1024 * MIB,
            event_window_ms: 30 * DAY_MS,
            event_table_cap_bytes: 1024 * MIB,
            ended_window_ms: DAY_MS,
            expiries_per_entry: 256,
            max_hold_lines: 1000,
            max_ttl_ms: 30 * DAY_MS,
            max_order_payments: 16,
            max_subscriptions: 10_000,
            max_dead_letters: 100_000,
            dead_letter_cap_bytes: 64 * MIB,
            max_dead_letter_bytes: 256 << 10,
        }
    }
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 13] = [
        Self::KeyWindowMs,
        Self::KeyTableCapBytes,
        Self::EventWindowMs,
        Self::EventTableCapBytes,
        Self::EndedWindowMs,
        Self::ExpiriesPerEntry,
        Self::MaxHoldLines,
        Self::MaxTtlMs,
        Self::MaxOrderPayments,
        Self::MaxSubscriptions,
        Self::MaxDeadLetters,
        Self::DeadLetterCapBytes,
        Self::MaxDeadLetterBytes,
    ];

    /// The name that people use for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyWindowMs => "keyWindowMs",
            Self::KeyTableCapBytes => "keyTableCapBytes",
            Self::EventWindowMs => "eventWindowMs",
            Self::EventTableCapBytes => "eventTableCapBytes",
            Self::EndedWindowMs => "endedWindowMs",
            Self::ExpiriesPerEntry => "expiriesPerEntry",
            Self::MaxHoldLines => "maxHoldLines",
            Self::MaxTtlMs => "maxTtlMs",
            Self::MaxOrderPayments => "maxOrderPayments",
            Self::MaxSubscriptions => "maxSubscriptions",
            Self::MaxDeadLetters => "maxDeadLetters",
            Self::DeadLetterCapBytes => "deadLetterCapBytes",
            Self::MaxDeadLetterBytes => "maxDeadLetterBytes",
        }
    }

    /// The least and the greatest value that it takes.
    #[must_use]
    pub const fn range(self) -> (u64, u64) {
        match self {
            Self::KeyWindowMs | Self::EndedWindowMs => (MINUTE_MS, 365 * DAY_MS),
            Self::EventWindowMs => (MINUTE_MS, 365 * DAY_MS),
            Self::KeyTableCapBytes | Self::EventTableCapBytes => (64, 64 * 1024 * MIB),
            Self::ExpiriesPerEntry => (1, 1_000_000),
            Self::MaxHoldLines => (1, 10_000),
            Self::MaxTtlMs => (1000, 3650 * DAY_MS),
            Self::MaxOrderPayments => (1, 1000),
            Self::MaxSubscriptions | Self::MaxDeadLetters => (1, 1_000_000),
            Self::DeadLetterCapBytes => (1024, 64 * 1024 * MIB),
            Self::MaxDeadLetterBytes => (1, MIB),
        }
    }
}

impl Config {
    /// The value of `setting`.
    #[must_use]
    pub const fn get(&self, setting: Setting) -> u64 {
        match setting {
            Setting::KeyWindowMs => self.key_window_ms,
            Setting::KeyTableCapBytes => self.key_table_cap_bytes,
            Setting::EventWindowMs => self.event_window_ms,
            Setting::EventTableCapBytes => self.event_table_cap_bytes,
            Setting::EndedWindowMs => self.ended_window_ms,
            Setting::ExpiriesPerEntry => self.expiries_per_entry,
            Setting::MaxHoldLines => self.max_hold_lines,
            Setting::MaxTtlMs => self.max_ttl_ms,
            Setting::MaxOrderPayments => self.max_order_payments,
            Setting::MaxSubscriptions => self.max_subscriptions,
            Setting::MaxDeadLetters => self.max_dead_letters,
            Setting::DeadLetterCapBytes => self.dead_letter_cap_bytes,
            Setting::MaxDeadLetterBytes => self.max_dead_letter_bytes,
        }
    }

    pub(crate) const fn set(&mut self, ConfigChange { setting, value }: ConfigChange) {
        let place = match setting {
            Setting::KeyWindowMs => &mut self.key_window_ms,
            Setting::KeyTableCapBytes => &mut self.key_table_cap_bytes,
            Setting::EventWindowMs => &mut self.event_window_ms,
            Setting::EventTableCapBytes => &mut self.event_table_cap_bytes,
            Setting::EndedWindowMs => &mut self.ended_window_ms,
            Setting::ExpiriesPerEntry => &mut self.expiries_per_entry,
            Setting::MaxHoldLines => &mut self.max_hold_lines,
            Setting::MaxTtlMs => &mut self.max_ttl_ms,
            Setting::MaxOrderPayments => &mut self.max_order_payments,
            Setting::MaxSubscriptions => &mut self.max_subscriptions,
            Setting::MaxDeadLetters => &mut self.max_dead_letters,
            Setting::DeadLetterCapBytes => &mut self.dead_letter_cap_bytes,
            Setting::MaxDeadLetterBytes => &mut self.max_dead_letter_bytes,
        };
        *place = value;
    }
}
