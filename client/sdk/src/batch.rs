//! Many commands in one request, in the compact encoding. Each gets what makes a repeat of it safe before anything is
//! sent.

use holdfast_api::WireRequest;
use holdfast_model::{Command, Reply, codec};
use reqwest::Method;

use crate::attempt::{Call, Payload};
use crate::calls::{new_hold_id, new_key, new_transfer_id};
use crate::{Client, Error};

impl Client {
    /// Carries out many commands in one go, each decided by itself; one reply for each, in order. Commands that make
    /// something get an id where theirs is nil, and those that name nothing of their own get a key, so that a repeat
    /// within this call has one effect. One request takes up to [`holdfast_api::MAX_BATCH_COMMANDS`].
    ///
    /// # Errors
    /// See [`Error`]. A refusal here is one of the whole request; that of a command is in its reply.
    pub async fn batch(&self, mut commands: Vec<WireRequest>) -> Result<Vec<Reply>, Error> {
        commands.iter_mut().for_each(name);
        let payload = Payload::Octets(codec::encode(&commands).into());
        let call = Call { method: Method::POST, path: "/batch", key: None, payload, is_repeatable: true };
        let body = self.call(&call).await?;
        let replies: Vec<Reply> = codec::decode(&body).map_err(|error| Error::Protocol(error.to_string()))?;
        if replies.len() == commands.len() {
            Ok(replies)
        } else {
            Err(Error::Protocol(format!("{} replies to {} commands", replies.len(), commands.len())))
        }
    }
}

/// Gives a command what makes a repeat of it safe, unless it has it.
fn name(request: &mut WireRequest) {
    match &mut request.command {
        Command::Reserve { hold, .. } if hold.uuid().is_nil() => *hold = new_hold_id(),
        Command::Transfer { transfer, .. } if transfer.uuid().is_nil() => *transfer = new_transfer_id(),
        command if is_named(command) => {}
        _ => {
            request.idempotency_key.get_or_insert_with(new_key);
        }
    }
}

/// Whether a command names something that makes a repeat of it safe.
pub(crate) fn is_named(command: &Command) -> bool {
    match command {
        Command::Tick => true,
        Command::Reserve { hold, .. } => !hold.uuid().is_nil(),
        Command::Transfer { transfer, .. } => !transfer.uuid().is_nil(),
        Command::Confirm { lines, .. } | Command::Release { lines, .. } => lines.is_none(),
        Command::ReceiveTransfer { qty, .. } => qty.is_none(),
        Command::CloseTransfer { .. } | Command::CancelTransfer { .. } => true,
        Command::Count { event, .. } | Command::RecordSale { event, .. } | Command::Receive { event, .. } => {
            event.is_some()
        }
        Command::CreateSku { .. }
        | Command::Extend { .. }
        | Command::Adjust { .. }
        | Command::SetPolicy { .. }
        | Command::RetireSku { .. }
        | Command::Configure { .. }
        | Command::TrimLedger { .. }
        | Command::RaiseModelVersion { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use holdfast_model::{HoldId, ItemId, Line, Quantity, StoreId};
    use uuid::Uuid;

    use super::*;

    fn line() -> Line {
        let (store, item) = (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap());
        Line { store, item, qty: Quantity::new(1).unwrap() }
    }

    fn named(command: Command) -> WireRequest {
        let mut request = WireRequest { command, idempotency_key: None };
        name(&mut request);
        request
    }

    #[test]
    fn a_hold_gets_an_id_and_no_key() {
        let hold = HoldId::from_uuid(Uuid::nil());
        let made = named(Command::Reserve {
            hold,
            lines: vec![line()],
            ttl_ms: None,
            allow_partial: false,
            owner: None,
        });
        let Command::Reserve { hold: given, .. } = made.command else { panic!("it stays a reservation") };
        assert!(!given.uuid().is_nil());
        assert_eq!(made.idempotency_key, None);
    }

    #[test]
    fn a_part_of_a_hold_gets_a_key_and_the_whole_needs_none() {
        let hold = new_hold_id();
        let part = Command::Confirm { hold, lines: Some(vec![line()]), reacquire: false };
        assert!(named(part).idempotency_key.is_some());
        assert_eq!(named(Command::Confirm { hold, lines: None, reacquire: false }).idempotency_key, None);
        assert_eq!(named(Command::Release { hold, lines: None, reason: None }).idempotency_key, None);
        assert!(named(Command::Extend { hold, ttl_ms: 1000 }).idempotency_key.is_some());
    }

    #[test]
    fn the_caller_s_own_key_stays() {
        let command = Command::RetireSku { store: line().store, item: line().item, remove: true };
        let mut request = WireRequest { command, idempotency_key: Some("mine".to_owned()) };
        name(&mut request);
        assert_eq!(request.idempotency_key.as_deref(), Some("mine"));
    }
}
