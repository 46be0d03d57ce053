//! Outcomes and refusals in 32 bytes, as the tables of keys and events remember them.
//!
//! A repeat brings the same command again, so only what the command does not say is kept: numbers, and the id of what
//! was made. Everything else is told from the command and from the state.

use serde::{Deserialize, Serialize};

use super::Inventory;
use crate::{
    Command, HoldId, HoldStatus, Outcome, Refusal, Reply, RowKey, RowView, Seq, Setting, ShortLine,
    TransferId, TransferStatus,
};

/// Bytes of a stored outcome.
const SIZE: usize = 32;
/// Bytes of a number: totals fit 53 bits and a sign.
const NUMBER: usize = 7;
/// How many short lines a stored refusal keeps: two bytes for the line and seven for the number, each.
const SHORT_LINES: usize = 3;
/// How many rows a stored refusal keeps: two bytes each.
const NAMED_ROWS: usize = 13;

/// A stored outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compact([u8; SIZE]);

/// What the first byte tells.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Ticked = 1,
    Row,
    Removed,
    Hold,
    Transfer,
    Configured,
    Trimmed,
    ModelVersion,
    UnknownItem,
    ItemRetired,
    SkuExists,
    InsufficientStock,
    UnknownHold,
    HoldExists,
    HoldExpired,
    HoldReleased,
    HoldConfirmed,
    ExceedsHold,
    NoLines,
    TooManyLines,
    TtlOutOfRange,
    QuantityOutOfRange,
    BelowZero,
    VersionConflict,
    CursorCompacted,
    SeqAhead,
    UnknownTransfer,
    TransferExists,
    OverReceipt,
    TransferConflict,
    SameStore,
    NotEmpty,
    KeyRequired,
    KeyReused,
    KeyTableFull,
    EventExists,
    EventTooOld,
    EventTableFull,
    SettingOutOfRange,
    ModelVersionRefused,
}

struct Writer {
    bytes: [u8; SIZE],
    at: usize,
}

impl Writer {
    fn new(tag: Tag) -> Self {
        let mut bytes = [0; SIZE];
        bytes[0] = tag as u8;
        Self { bytes, at: 1 }
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    fn number(self, number: i64) -> Self {
        self.put(&number.to_le_bytes()[..NUMBER])
    }

    fn count(self, count: u64) -> Self {
        self.number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn short(self, number: usize) -> Self {
        self.put(&u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes())
    }

    fn done(self) -> Compact {
        Compact(self.bytes)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.bytes.split_at(N);
        self.bytes = tail;
        head.try_into().expect("a split of N bytes has N bytes")
    }

    fn number(&mut self) -> i64 {
        let mut bytes = [0; 8];
        bytes[1..].copy_from_slice(&self.take::<NUMBER>());
        // The seven bytes are the high ones now: shifting them down brings the sign along.
        i64::from_le_bytes(bytes) >> 8
    }

    fn count(&mut self) -> u64 {
        self.number().cast_unsigned()
    }

    fn short(&mut self) -> usize {
        usize::from(u16::from_le_bytes(self.take()))
    }

    fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn uuid(&mut self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.take())
    }
}

impl Compact {
    pub fn bytes(&self) -> &[u8; SIZE] {
        &self.0
    }

    /// What is remembered of `reply` to `command`.
    pub fn of(reply: &Reply, command: &Command, inventory: &Inventory) -> Self {
        match &reply.result {
            Ok(outcome) => of_outcome(outcome, reply.seq),
            Err(refusal) => of_refusal(refusal, command, &inventory.rows_named(command)),
        }
    }

    /// The reply to a repeat of `command`.
    pub fn reply(&self, command: &Command, inventory: &Inventory) -> Reply {
        let mut reader = Reader { bytes: &self.0[1..] };
        if self.is(Tag::Row) || self.is(Tag::Removed) {
            let has_moved = reader.byte() != 0;
            let view = stored_row(&mut reader, command, inventory);
            let seq = if has_moved { view.last_seq } else { Seq(0) };
            let outcome = if self.is(Tag::Row) { Outcome::Row(view) } else { Outcome::Removed(view) };
            return Reply { result: Ok(outcome), seq, replayed: true };
        }
        let seq = if self.0[0] <= Tag::ModelVersion as u8 { Seq(reader.count()) } else { Seq(0) };
        Reply { result: self.result(&mut reader, command, inventory), seq, replayed: true }
    }

    fn is(&self, tag: Tag) -> bool {
        self.0[0] == tag as u8
    }

    fn result(
        &self,
        reader: &mut Reader<'_>,
        command: &Command,
        inventory: &Inventory,
    ) -> Result<Outcome, Refusal> {
        let tag = self.0[0];
        let is = |other: Tag| tag == other as u8;
        if is(Tag::Hold) {
            let hold = HoldId::from_uuid(reader.uuid());
            return inventory.hold(hold).map(Outcome::Hold).ok_or(Refusal::UnknownHold { hold });
        }
        if is(Tag::Transfer) {
            let transfer = TransferId::from_uuid(reader.uuid());
            let view = inventory.transfer(transfer);
            return view.map(Outcome::Transfer).ok_or(Refusal::UnknownTransfer { transfer });
        }
        if is(Tag::Ticked) {
            return Ok(Outcome::Ticked);
        }
        if is(Tag::Configured) {
            return Ok(Outcome::Configured(inventory.config().clone()));
        }
        if is(Tag::Trimmed) {
            return Ok(Outcome::Trimmed(Seq(reader.count())));
        }
        if is(Tag::ModelVersion) {
            return Ok(Outcome::ModelVersion(u32::try_from(reader.count()).unwrap_or_default()));
        }
        Err(refusal(tag, reader, command, &inventory.rows_named(command)))
    }
}

/// The row of a stored outcome: as it is now, but for what the outcome kept.
fn stored_row(reader: &mut Reader<'_>, command: &Command, inventory: &Inventory) -> RowView {
    let named = inventory.rows_named(command);
    let key = named.into_iter().next().expect("a command on a row names it");
    let mut view = inventory.row_or_blank(key);
    view.available = reader.number();
    view.reserved = reader.count();
    view.version = reader.count();
    view.last_seq = Seq(reader.count());
    view
}

fn of_outcome(outcome: &Outcome, seq: Seq) -> Compact {
    let start = |tag| Writer::new(tag).count(seq.0);
    match outcome {
        Outcome::Ticked => start(Tag::Ticked),
        Outcome::Row(row) | Outcome::Removed(row) => {
            let tag = if matches!(outcome, Outcome::Row(_)) { Tag::Row } else { Tag::Removed };
            // A command that changed nothing made no movement: the row's last one is not the reply's.
            Writer::new(tag)
                .put(&[u8::from(seq != Seq(0))])
                .number(row.available)
                .count(row.reserved)
                .count(row.version)
                .count(row.last_seq.0)
        }
        Outcome::Hold(hold) => start(Tag::Hold).put(hold.hold.uuid().as_bytes()),
        Outcome::Transfer(transfer) => start(Tag::Transfer).put(transfer.transfer.uuid().as_bytes()),
        Outcome::Configured(_) => start(Tag::Configured),
        Outcome::Trimmed(start_seq) => start(Tag::Trimmed).count(start_seq.0),
        Outcome::ModelVersion(version) => start(Tag::ModelVersion).count(u64::from(*version)),
    }
    .done()
}

fn of_refusal(refusal: &Refusal, command: &Command, named: &[RowKey]) -> Compact {
    let rows = |tag, rows: &[RowKey]| {
        let kept = rows.len().min(NAMED_ROWS);
        let start = Writer::new(tag).short(kept).short(rows.len() - kept);
        rows[..kept].iter().fold(start, |writer, row| writer.short(place_of(row, named)))
    };
    let lines = |tag, lines: &[ShortLine]| {
        // What the command does not say takes the room of the other lines.
        let says_quantities = says_quantities(command);
        let kept = lines.len().min(if says_quantities { SHORT_LINES } else { 1 });
        let start = Writer::new(tag).put(&[u8::try_from(kept).unwrap_or_default()]).short(lines.len() - kept);
        lines[..kept].iter().fold(start, |writer, line| {
            let writer = writer.short(place_of(&line.row, named)).number(line.available);
            if says_quantities { writer } else { writer.count(line.requested) }
        })
    };
    match refusal {
        Refusal::UnknownItem { rows: missing, .. } => rows(Tag::UnknownItem, missing),
        Refusal::ItemRetired { rows: retired, .. } => rows(Tag::ItemRetired, retired),
        Refusal::SkuExists { current_version, .. } => Writer::new(Tag::SkuExists).count(*current_version),
        Refusal::InsufficientStock { lines: short, .. } => lines(Tag::InsufficientStock, short),
        Refusal::UnknownHold { .. } => Writer::new(Tag::UnknownHold),
        Refusal::HoldExists { state, .. } => Writer::new(Tag::HoldExists).put(&[*state as u8]),
        Refusal::HoldExpired { .. } => Writer::new(Tag::HoldExpired),
        Refusal::HoldReleased { .. } => Writer::new(Tag::HoldReleased),
        Refusal::HoldConfirmed { .. } => Writer::new(Tag::HoldConfirmed),
        Refusal::ExceedsHold { lines: short, .. } => lines(Tag::ExceedsHold, short),
        Refusal::NoLines => Writer::new(Tag::NoLines),
        Refusal::TooManyLines { got, limit } => Writer::new(Tag::TooManyLines).count(*got).count(*limit),
        Refusal::TtlOutOfRange { max_ms } => Writer::new(Tag::TtlOutOfRange).count(*max_ms),
        Refusal::QuantityOutOfRange { row } => {
            let place = row.as_ref().map_or(usize::from(u16::MAX), |row| place_of(row, named));
            Writer::new(Tag::QuantityOutOfRange).short(place)
        }
        Refusal::BelowZero { available, .. } => Writer::new(Tag::BelowZero).number(*available),
        Refusal::VersionConflict { current_version } => {
            Writer::new(Tag::VersionConflict).count(*current_version)
        }
        Refusal::CursorCompacted { oldest } => Writer::new(Tag::CursorCompacted).count(oldest.0),
        Refusal::SeqAhead { last } => Writer::new(Tag::SeqAhead).count(last.0),
        Refusal::UnknownTransfer { .. } => Writer::new(Tag::UnknownTransfer),
        Refusal::TransferExists { state, .. } => Writer::new(Tag::TransferExists).put(&[*state as u8]),
        Refusal::OverReceipt { remaining, .. } => Writer::new(Tag::OverReceipt).count(*remaining),
        Refusal::TransferConflict { state, received, .. } => {
            Writer::new(Tag::TransferConflict).put(&[*state as u8]).count(*received)
        }
        Refusal::SameStore => Writer::new(Tag::SameStore),
        Refusal::NotEmpty { on_hand, reserved, in_transit, .. } => {
            Writer::new(Tag::NotEmpty).number(*on_hand).count(*reserved).count(*in_transit)
        }
        Refusal::KeyRequired => Writer::new(Tag::KeyRequired),
        Refusal::KeyReused => Writer::new(Tag::KeyReused),
        Refusal::KeyTableFull { cap_bytes } => Writer::new(Tag::KeyTableFull).count(*cap_bytes),
        Refusal::EventExists => Writer::new(Tag::EventExists),
        Refusal::EventTooOld { window_ms } => Writer::new(Tag::EventTooOld).count(*window_ms),
        Refusal::EventTableFull { cap_bytes } => Writer::new(Tag::EventTableFull).count(*cap_bytes),
        Refusal::SettingOutOfRange { setting, min, max } => {
            let place = Setting::ALL.iter().position(|other| other == setting).unwrap_or_default();
            Writer::new(Tag::SettingOutOfRange).short(place).count(*min).count(*max)
        }
        Refusal::ModelVersion { current, supported } => {
            let versions = (u64::from(*current), u64::from(*supported));
            Writer::new(Tag::ModelVersionRefused).count(versions.0).count(versions.1)
        }
    }
    .done()
}

fn place_of(row: &RowKey, named: &[RowKey]) -> usize {
    named.iter().position(|other| other == row).unwrap_or(usize::from(u16::MAX))
}

/// The refusal behind a tag. `command` is the same as the one that was refused.
fn refusal(tag: u8, reader: &mut Reader<'_>, command: &Command, named: &[RowKey]) -> Refusal {
    let is = |other: Tag| tag == other as u8;
    let hold = || hold_of(command);
    let transfer = || transfer_of(command);
    if is(Tag::UnknownItem) || is(Tag::ItemRetired) {
        let (kept, mut omitted) = (reader.short(), reader.short());
        let places: Vec<usize> = (0..kept).map(|_| reader.short()).collect();
        let rows: Vec<RowKey> = places.iter().filter_map(|&place| named.get(place).cloned()).collect();
        omitted += kept - rows.len();
        let omitted = u32::try_from(omitted).unwrap_or(u32::MAX);
        return if is(Tag::UnknownItem) {
            Refusal::UnknownItem { rows, omitted }
        } else {
            Refusal::ItemRetired { rows, omitted }
        };
    }
    if is(Tag::InsufficientStock) || is(Tag::ExceedsHold) {
        let (kept, mut omitted) = (usize::from(reader.byte()), reader.short());
        let mut lines = Vec::with_capacity(kept);
        for _ in 0..kept {
            let (place, available) = (reader.short(), reader.number());
            let told = if says_quantities(command) { None } else { Some(reader.count()) };
            if let Some(row) = named.get(place).cloned() {
                let requested = told.unwrap_or_else(|| requested_of(command, &row));
                lines.push(ShortLine { row, requested, available });
            }
        }
        omitted += kept - lines.len();
        let omitted = u32::try_from(omitted).unwrap_or(u32::MAX);
        return if is(Tag::InsufficientStock) {
            Refusal::InsufficientStock { lines, omitted }
        } else {
            Refusal::ExceedsHold { hold: hold(), lines, omitted }
        };
    }
    let first = || named.first().cloned();
    match tag {
        t if t == Tag::SkuExists as u8 => {
            let row = first().expect("a command on a row names it");
            Refusal::SkuExists { row, current_version: reader.count() }
        }
        t if t == Tag::UnknownHold as u8 => Refusal::UnknownHold { hold: hold() },
        t if t == Tag::HoldExists as u8 => {
            let state = match reader.byte() {
                0 => HoldStatus::Held,
                1 => HoldStatus::Confirmed,
                2 => HoldStatus::Released,
                _ => HoldStatus::Expired,
            };
            Refusal::HoldExists { hold: hold(), state }
        }
        t if t == Tag::HoldExpired as u8 => Refusal::HoldExpired { hold: hold() },
        t if t == Tag::HoldReleased as u8 => Refusal::HoldReleased { hold: hold() },
        t if t == Tag::HoldConfirmed as u8 => Refusal::HoldConfirmed { hold: hold() },
        t if t == Tag::NoLines as u8 => Refusal::NoLines,
        t if t == Tag::TooManyLines as u8 => {
            Refusal::TooManyLines { got: reader.count(), limit: reader.count() }
        }
        t if t == Tag::TtlOutOfRange as u8 => Refusal::TtlOutOfRange { max_ms: reader.count() },
        t if t == Tag::QuantityOutOfRange as u8 => {
            Refusal::QuantityOutOfRange { row: named.get(reader.short()).cloned() }
        }
        t if t == Tag::BelowZero as u8 => {
            let delta = if let Command::Adjust { delta, .. } = command { *delta } else { 0 };
            Refusal::BelowZero { available: reader.number(), delta }
        }
        t if t == Tag::VersionConflict as u8 => Refusal::VersionConflict { current_version: reader.count() },
        t if t == Tag::CursorCompacted as u8 => Refusal::CursorCompacted { oldest: Seq(reader.count()) },
        t if t == Tag::SeqAhead as u8 => Refusal::SeqAhead { last: Seq(reader.count()) },
        t if t == Tag::UnknownTransfer as u8 => Refusal::UnknownTransfer { transfer: transfer() },
        t if t == Tag::TransferExists as u8 => {
            Refusal::TransferExists { transfer: transfer(), state: transfer_status(reader.byte()) }
        }
        t if t == Tag::OverReceipt as u8 => {
            Refusal::OverReceipt { transfer: transfer(), remaining: reader.count() }
        }
        t if t == Tag::TransferConflict as u8 => {
            let state = transfer_status(reader.byte());
            Refusal::TransferConflict { transfer: transfer(), state, received: reader.count() }
        }
        t if t == Tag::SameStore as u8 => Refusal::SameStore,
        t if t == Tag::NotEmpty as u8 => Refusal::NotEmpty {
            row: first().expect("a command on a row names it"),
            on_hand: reader.number(),
            reserved: reader.count(),
            in_transit: reader.count(),
        },
        t if t == Tag::KeyRequired as u8 => Refusal::KeyRequired,
        t if t == Tag::KeyTableFull as u8 => Refusal::KeyTableFull { cap_bytes: reader.count() },
        t if t == Tag::EventExists as u8 => Refusal::EventExists,
        t if t == Tag::EventTooOld as u8 => Refusal::EventTooOld { window_ms: reader.count() },
        t if t == Tag::EventTableFull as u8 => Refusal::EventTableFull { cap_bytes: reader.count() },
        t if t == Tag::SettingOutOfRange as u8 => {
            let setting = Setting::ALL.get(reader.short()).copied().unwrap_or(Setting::ALL[0]);
            Refusal::SettingOutOfRange { setting, min: reader.count(), max: reader.count() }
        }
        t if t == Tag::ModelVersionRefused as u8 => {
            let mut version = || u32::try_from(reader.count()).unwrap_or_default();
            Refusal::ModelVersion { current: version(), supported: version() }
        }
        _ => Refusal::KeyReused,
    }
}

fn transfer_status(byte: u8) -> TransferStatus {
    match byte {
        0 => TransferStatus::Shipped,
        1 => TransferStatus::Received,
        _ => TransferStatus::Cancelled,
    }
}

fn hold_of(command: &Command) -> HoldId {
    match command {
        Command::Reserve { hold, .. }
        | Command::Confirm { hold, .. }
        | Command::Release { hold, .. }
        | Command::Extend { hold, .. } => *hold,
        _ => HoldId::from_uuid(uuid::Uuid::nil()),
    }
}

fn transfer_of(command: &Command) -> TransferId {
    match command {
        Command::Transfer { transfer, .. }
        | Command::ReceiveTransfer { transfer, .. }
        | Command::CloseTransfer { transfer, .. }
        | Command::CancelTransfer { transfer, .. } => *transfer,
        _ => TransferId::from_uuid(uuid::Uuid::nil()),
    }
}

/// Whether the command names the quantities that it asks for: a confirmation of everything does not.
fn says_quantities(command: &Command) -> bool {
    !matches!(command, Command::Confirm { lines: None, .. } | Command::Release { lines: None, .. })
}

/// How many of `row` the command asked for.
fn requested_of(command: &Command, row: &RowKey) -> u64 {
    match command {
        Command::Reserve { lines, .. }
        | Command::Confirm { lines: Some(lines), .. }
        | Command::Release { lines: Some(lines), .. } => lines
            .iter()
            .filter(|line| line.store == row.store && line.item == row.item)
            .fold(0, |sum, line| sum.saturating_add(line.qty.get())),
        Command::Transfer { qty, .. } => qty.get(),
        _ => 0,
    }
}
