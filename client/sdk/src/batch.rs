//! Many commands in one request, in the compact encoding. Each gets what makes a repeat of it safe before anything is
//! sent.

use holdfast_api::WireRequest;
use holdfast_model::{Command, HoldId, LetterAction, OrderAction, OrderId, Reply, SubscriptionAction, codec};
use reqwest::Method;

use crate::attempt::{Call, Payload};
use crate::calls::{
    new_dead_letter_id, new_hold_id, new_key, new_order_id, new_subscription_id, new_transfer_id,
};
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
        Command::Order { order, action } => name_order(order, action),
        Command::Subscription { subscription, .. } if subscription.uuid().is_nil() => {
            *subscription = new_subscription_id();
        }
        Command::DeadLetter { letter, .. } if letter.uuid().is_nil() => *letter = new_dead_letter_id(),
        command if is_named(command) => {}
        _ => {
            request.idempotency_key.get_or_insert_with(new_key);
        }
    }
}

/// Gives an order and its hold the ids that they lack: what is done to an order is known by these.
fn name_order(order: &mut OrderId, action: &mut OrderAction) {
    match action {
        OrderAction::Place { hold, .. } => {
            if order.uuid().is_nil() {
                *order = new_order_id();
            }
            name_hold(hold);
        }
        OrderAction::ReplaceLines { hold, .. } => name_hold(hold),
        OrderAction::Pay { .. } | OrderAction::Cancel { .. } | OrderAction::Refund { .. } => {}
    }
}

fn name_hold(hold: &mut HoldId) {
    if hold.uuid().is_nil() {
        *hold = new_hold_id();
    }
}

/// Whether a command names something that makes a repeat of it safe.
pub(crate) fn is_named(command: &Command) -> bool {
    match command {
        Command::Tick => true,
        Command::Reserve { hold, .. } => !hold.uuid().is_nil(),
        Command::Transfer { transfer, .. } => !transfer.uuid().is_nil(),
        Command::Order { order, action } => match action {
            OrderAction::Place { .. } => !order.uuid().is_nil(),
            OrderAction::ReplaceLines { hold, .. } => !hold.uuid().is_nil(),
            OrderAction::Pay { .. } | OrderAction::Cancel { .. } | OrderAction::Refund { .. } => true,
        },
        Command::Confirm { lines, .. } | Command::Release { lines, .. } => lines.is_none(),
        Command::ReceiveTransfer { qty, .. } => qty.is_none(),
        Command::CloseTransfer { .. } | Command::CancelTransfer { .. } => true,
        Command::Count { event, .. } | Command::RecordSale { event, .. } | Command::Receive { event, .. } => {
            event.is_some()
        }
        Command::Subscription { subscription, action } => match action {
            SubscriptionAction::Subscribe { .. } => !subscription.uuid().is_nil(),
            SubscriptionAction::Unsubscribe => false,
        },
        Command::DeadLetter { letter, action } => match action {
            LetterAction::Keep { .. } | LetterAction::Requeue => !letter.uuid().is_nil(),
            LetterAction::Remove => false,
        },
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
    use holdfast_model::{ItemId, Line, Quantity, StoreId};
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
    fn an_order_gets_ids_and_no_key() {
        let (order, hold) = (OrderId::from_uuid(Uuid::nil()), HoldId::from_uuid(Uuid::nil()));
        let (lines, ttl_ms, owner, reference) = (vec![line()], None, None, None);
        let action = OrderAction::Place { hold, lines, ttl_ms, owner, reference };
        let made = named(Command::Order { order, action });
        let Command::Order { order, action: OrderAction::Place { hold, .. } } = made.command else {
            panic!("it stays an order")
        };
        assert!(!order.uuid().is_nil() && !hold.uuid().is_nil() && made.idempotency_key.is_none());
    }

    #[test]
    fn the_caller_s_own_key_stays() {
        let command = Command::RetireSku { store: line().store, item: line().item, remove: true };
        let mut request = WireRequest { command, idempotency_key: Some("mine".to_owned()) };
        name(&mut request);
        assert_eq!(request.idempotency_key.as_deref(), Some("mine"));
    }
}
