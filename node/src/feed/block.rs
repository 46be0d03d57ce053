//! Records that follow each other, and their bytes, which are made once for all who want them.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use holdfast_api::{EVENT_STREAM, Epoch, NDJSON, Problem};
use holdfast_model::Seq;

use super::filter::Filter;
use super::record::{self, Record};

/// Milliseconds after which a reader of events is told to come again when the stream has ended.
const RETRY_MS: u32 = 1000;

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Server-sent events (HTML Living Standard, section 9.2).
    Events,
    /// JSON lines.
    Lines,
}

impl Format {
    /// The one that a request likes best: events unless it prefers lines. None when it takes neither.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(ACCEPT) {
            return Some(Self::Events);
        }
        let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut events, mut lines) = (Liking::default(), Liking::default());
        for range in texts.flat_map(|text| text.split(',')) {
            let (kind, weight) = media_range(range);
            events.hear(&kind, weight, &[EVENT_STREAM]);
            lines.hear(&kind, weight, &[NDJSON, "application/ndjson", "application/jsonl"]);
        }
        match (events.weight, lines.weight) {
            (0, 0) => None,
            (events, lines) if lines > events => Some(Self::Lines),
            _ => Some(Self::Events),
        }
    }

    /// The content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Events => EVENT_STREAM,
            Self::Lines => NDJSON,
        }
    }

    /// What a stream begins with: a bookmark, so that its reader has a cursor whatever comes.
    pub fn greeting(self, epoch: &Epoch, at: Seq) -> Bytes {
        let bookmark = self.bookmark(epoch, at);
        match self {
            Self::Events => [format!("retry: {RETRY_MS}\n").as_bytes(), &bookmark].concat().into(),
            Self::Lines => bookmark,
        }
    }

    /// A cursor without a record.
    pub fn bookmark(self, epoch: &Epoch, at: Seq) -> Bytes {
        let line = format!("{{\"cursor\":\"{epoch}.{at}\"}}");
        match self {
            Self::Events => format!("id: {epoch}.{at}\nevent: bookmark\ndata: {line}\n\n").into(),
            Self::Lines => format!("{line}\n").into(),
        }
    }

    /// What a stream ends with, when it does not simply break off.
    pub fn last(self, problem: &Problem) -> Bytes {
        let json = serde_json::to_string(problem).expect("a problem has plain keys");
        match self {
            Self::Events => format!("event: error\ndata: {json}\n\n").into(),
            Self::Lines => format!("{{\"error\":{json}}}\n").into(),
        }
    }

    fn write(self, epoch: &Epoch, record: &Record, out: &mut Vec<u8>) {
        let (seq, kind) = (record::seq(record), record::kind(record));
        match self {
            Self::Events => {
                out.extend_from_slice(format!("id: {epoch}.{seq}\nevent: {kind}\ndata: ").as_bytes());
                record::json(record, out);
                out.extend_from_slice(b"\n\n");
            }
            Self::Lines => {
                out.extend_from_slice(format!("{{\"cursor\":\"{epoch}.{seq}\",\"record\":").as_bytes());
                record::json(record, out);
                out.extend_from_slice(b"}\n");
            }
        }
    }
}

/// How much a request likes a content type: what it says of it by name stands over what it says of all (RFC 9110,
/// section 12.5.1).
#[derive(Default)]
struct Liking {
    weight: u16,
    closeness: u8,
}

impl Liking {
    fn hear(&mut self, range: &str, weight: u16, names: &[&str]) {
        let closeness = match range {
            "*/*" => 1,
            _ if range
                .strip_suffix("/*")
                .is_some_and(|family| names.iter().any(|name| name.split('/').next() == Some(family))) =>
            {
                2
            }
            _ if names.contains(&range) => 3,
            _ => return,
        };
        if closeness > self.closeness || (closeness == self.closeness && weight > self.weight) {
            *self = Self { weight, closeness };
        }
    }
}

/// A media range in small letters, and its weight in thousandths.
fn media_range(text: &str) -> (String, u16) {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = weight.map_or(1000, |text| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let thousandths =
            format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if whole == "1" { 1000 } else { thousandths }
    });
    (kind, weight)
}

/// Records that follow each other without a hole; at least one.
pub struct Block {
    records: Vec<Record>,
    events: OnceLock<Encoded>,
    lines: OnceLock<Encoded>,
}

/// The bytes of a block's records, and where each begins.
struct Encoded {
    bytes: Bytes,
    starts: Vec<usize>,
}

impl Block {
    /// A block of `records`, unless there are none.
    pub fn new(records: Vec<Record>) -> Option<Self> {
        let is_some = !records.is_empty();
        is_some.then(|| Self { records, events: OnceLock::new(), lines: OnceLock::new() })
    }

    /// Its records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether it has anything that a subscriber wants.
    pub fn has_any(&self, filter: &Filter) -> bool {
        filter.is_open() || self.records.iter().any(|record| filter.wants(record))
    }

    /// Its first record's number.
    pub fn first(&self) -> Seq {
        self.records.first().map_or(Seq(0), record::seq)
    }

    /// Its last record's number.
    pub fn last(&self) -> Seq {
        self.records.last().map_or(Seq(0), record::seq)
    }

    /// What a subscriber gets of it: the records after `after` that it wants.
    pub fn bytes(&self, format: Format, epoch: &Epoch, filter: &Filter, after: Seq) -> Bytes {
        let skip = usize::try_from((after.0 + 1).saturating_sub(self.first().0)).unwrap_or(usize::MAX);
        if skip >= self.records.len() {
            return Bytes::new();
        }
        let encoded = self.encoded(format, epoch);
        if filter.is_open() {
            return encoded.bytes.slice(encoded.starts[skip]..);
        }
        let mut wanted = Vec::new();
        for place in (skip..self.records.len()).filter(|&place| filter.wants(&self.records[place])) {
            let end = encoded.starts.get(place + 1).copied().unwrap_or(encoded.bytes.len());
            wanted.extend_from_slice(&encoded.bytes[encoded.starts[place]..end]);
        }
        wanted.into()
    }

    fn encoded(&self, format: Format, epoch: &Epoch) -> &Encoded {
        let cell = match format {
            Format::Events => &self.events,
            Format::Lines => &self.lines,
        };
        cell.get_or_init(|| {
            let (mut bytes, mut starts) = (Vec::new(), Vec::with_capacity(self.records.len()));
            for record in &self.records {
                starts.push(bytes.len());
                format.write(epoch, record, &mut bytes);
            }
            bytes.shrink_to_fit();
            Encoded { bytes: bytes.into(), starts }
        })
    }
}

/// Adds to `out` what a subscriber gets of records that nobody else wants now.
pub fn write_wanted(records: &[Record], format: Format, epoch: &Epoch, filter: &Filter, out: &mut Vec<u8>) {
    for record in records.iter().filter(|record| filter.wants(record)) {
        format.write(epoch, record, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{epoch, movement};
    use super::*;

    fn block() -> Block {
        Block::new(vec![movement(5, "S1", "A"), movement(6, "S2", "B"), movement(7, "S1", "B")]).unwrap()
    }

    fn filter(store: &str) -> Filter {
        Filter { stores: vec![store.parse().unwrap()], ..Filter::default() }
    }

    fn text(block: &Block, format: Format, filter: &Filter, after: u64) -> String {
        String::from_utf8(block.bytes(format, &epoch(), filter, Seq(after)).to_vec()).unwrap()
    }

    #[test]
    fn a_line_has_its_cursor_and_its_record() {
        let lines = text(&block(), Format::Lines, &Filter::default(), 0);
        let read: Vec<holdfast_api::FeedLine> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let cursors: Vec<String> =
            read.iter().map(|line| line.cursor.as_ref().unwrap().to_string()).collect();
        assert_eq!(cursors, ["0197f1d2.5", "0197f1d2.6", "0197f1d2.7"]);
        assert_eq!(read[1].record.as_ref().unwrap().store_id(), Some("S2"));
        let bookmark: holdfast_api::FeedLine =
            serde_json::from_slice(&Format::Lines.bookmark(&epoch(), Seq(9))).unwrap();
        assert_eq!((bookmark.cursor.unwrap().seq, bookmark.record), (9, None));
    }

    #[test]
    fn an_event_has_an_id_a_kind_and_one_line_of_data() {
        let events = text(&block(), Format::Events, &filter("S2"), 0);
        let lines: Vec<&str> = events.split('\n').collect();
        assert_eq!(lines[..2], ["id: 0197f1d2.6", "event: SOLD"]);
        assert!(lines[2].starts_with("data: {\"seq\":6,"), "{events}");
        assert_eq!(lines[3..], ["", ""]);
    }

    #[test]
    fn a_subscriber_gets_what_it_wants_and_has_not_had() {
        let block = block();
        let all = text(&block, Format::Lines, &Filter::default(), 0);
        let lines: Vec<&str> = all.split_inclusive('\n').collect();
        for (filter, after, wanted) in [
            (Filter::default(), 4, vec![0, 1, 2]),
            (Filter::default(), 5, vec![1, 2]),
            (Filter::default(), 7, vec![]),
            (Filter::default(), u64::MAX - 1, vec![]),
            (filter("S1"), 4, vec![0, 2]),
            (filter("S1"), 5, vec![2]),
            (filter("S3"), 0, vec![]),
        ] {
            let expected: String = wanted.iter().map(|&place: &usize| lines[place]).collect();
            assert_eq!(text(&block, Format::Lines, &filter, after), expected, "{filter:?} after {after}");
        }
    }

    #[test]
    fn the_form_is_chosen_by_what_is_accepted() {
        for (accept, format) in [
            (None, Some(Format::Events)),
            (Some("*/*"), Some(Format::Events)),
            (Some("text/event-stream"), Some(Format::Events)),
            (Some("Application/X-NDJSON"), Some(Format::Lines)),
            (Some("application/ndjson;q=0.5, text/*;q=0.4"), Some(Format::Lines)),
            (Some("application/x-ndjson;q=0.2, */*;q=0.9"), Some(Format::Events)),
            (Some("application/x-ndjson, text/event-stream;q=0"), Some(Format::Lines)),
            (Some("*/*, text/event-stream;q=0"), Some(Format::Lines)),
            (Some("text/html"), None),
            (Some("text/event-stream;q=0"), None),
            (Some(""), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Format::of(&headers), format, "{accept:?}");
        }
    }
}
