//! Requests to a peer that carry nothing but how far the leader has committed. Under load the next entries come right
//! after, and carry it along; a request of its own would cost every member a message, and hold up those entries until
//! it is answered.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::stream::{Stream, StreamExt, unfold};
use openraft::raft::AppendEntriesRequest;

use crate::types::{Host, Types};

/// How many turns of the other tasks such a request waits for entries. What lies between is apply, the answers, the
/// next proposal and its way through the consensus library, each a turn or two; where nothing is to be done they pass
/// in a few microseconds.
const TURNS: u32 = 16;

/// The same requests without those that carry only a commit when a later one, which carries that too, comes at once. To
/// the consensus library a request that was left out is one whose answer is late: the later one answers for both.
pub fn joined<H, S>(input: S) -> Pin<Box<impl Stream<Item = AppendEntriesRequest<Types<H>>> + Send + 'static>>
where
    H: Host,
    S: Stream<Item = AppendEntriesRequest<Types<H>>> + Send + Unpin + 'static,
{
    Box::pin(unfold(input.fuse(), |mut input| async move {
        let mut request = input.next().await?;
        while request.entries.is_empty()
            && let Some(later) = soon(&mut input).await
        {
            request = later;
        }
        Some((request, input))
    }))
}

/// The next item, unless there is none after the turns.
async fn soon<S: Stream + Unpin>(input: &mut S) -> Option<S::Item> {
    let mut turns = 0;
    poll_fn(|cx| match input.poll_next_unpin(cx) {
        Poll::Ready(next) => Poll::Ready(next),
        Poll::Pending if turns == TURNS => Poll::Ready(None),
        Poll::Pending => {
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{iter, pending};
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry;

    use super::*;
    use crate::Live;
    use crate::types::LogIdRecord;

    type Request = AppendEntriesRequest<Types<Live>>;

    /// A request after entry `prev` that says that `commit` is committed, with so many entries.
    fn request(prev: u64, commit: u64, entries: u64) -> Request {
        let id = |index| LogIdRecord { term: 1, index }.log_id::<Live>();
        let blank = |index| openraft::alias::EntryOf::<Types<Live>>::new(id(index), EntryPayload::Blank);
        AppendEntriesRequest {
            vote: openraft::alias::VoteOf::<Types<Live>>::new(1, 1),
            prev_log_id: Some(id(prev)),
            leader_commit: Some(id(commit)),
            entries: (prev + 1..=prev + entries).map(blank).collect(),
        }
    }

    /// What is told of a request: where it begins, how far is committed, how many entries it has.
    fn told(request: &Request) -> (u64, u64, usize) {
        let index = |id: &Option<openraft::alias::LogIdOf<Types<Live>>>| {
            id.as_ref().map_or(0, openraft::LogId::index)
        };
        (index(&request.prev_log_id), index(&request.leader_commit), request.entries.len())
    }

    #[tokio::test]
    async fn a_commit_travels_with_the_entries_that_come_after_it() {
        let requests = [request(1, 1, 1), request(2, 2, 0), request(2, 2, 3), request(5, 5, 0)];
        let sent: Vec<_> = joined::<Live, _>(iter(requests)).map(|request| told(&request)).collect().await;
        assert_eq!(sent, [(1, 1, 1), (2, 2, 3), (5, 5, 0)]);
    }

    #[tokio::test]
    async fn of_several_commits_the_last_is_sent() {
        let requests = [request(7, 5, 0), request(7, 6, 0), request(7, 7, 0)];
        let sent: Vec<_> = joined::<Live, _>(iter(requests)).map(|request| told(&request)).collect().await;
        assert_eq!(sent, [(7, 7, 0)]);
    }

    #[tokio::test]
    async fn a_commit_that_nothing_follows_is_sent_all_the_same() {
        let mut sent = joined::<Live, _>(Box::pin(iter([request(7, 7, 0)]).chain(pending())));
        assert_eq!(sent.next().await.as_ref().map(told), Some((7, 7, 0)));
    }
}
