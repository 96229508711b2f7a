//! Server-sent events, as far as a client of Relais needs them (WHATWG HTML §9.2.6): bytes in, events out.

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SseEvent {
    /// `event:`; `message` where the stream names none.
    pub event: String,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
    /// The last `id:` seen so far.
    pub id: Option<String>,
}

/// Cuts a byte stream into events, wherever its chunks end.
#[derive(Default)]
pub struct SseParser {
    line: Vec<u8>,
    has_begun: bool,
    after_carriage_return: bool,
    event: String,
    data: Option<String>,
    id: Option<String>,
}

impl SseParser {
    /// Takes a chunk and gives the events that it completes. An event that the stream's end cuts off is never
    /// given, as the standard wants.
    pub fn feed(&mut self, chunk: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for &byte in chunk {
            let second_of_pair = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            match byte {
                _ if second_of_pair => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.take_line(&String::from_utf8_lossy(&line)));
                }
                byte => self.line.push(byte),
            }
        }
        events
    }

    /// Bytes held for an event that is not complete.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, String::len)
    }

    fn take_line(&mut self, line: &str) -> Option<SseEvent> {
        // A byte order mark is one at the beginning of the stream only.
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        let line = if has_begun { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        if line.is_empty() {
            return self.complete();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        None
    }

    fn complete(&mut self) -> Option<SseEvent> {
        let mut event = std::mem::take(&mut self.event);
        if event.is_empty() {
            event.push_str("message");
        }
        self.data.take().map(|data| SseEvent { event, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: &str, data: &str, id: Option<&str>) -> SseEvent {
        SseEvent { event: event.into(), data: data.into(), id: id.map(Into::into) }
    }

    const STREAM: &str = "\u{feff}retry: 2000\n\n: comment\n\nevent: login\nid: 3\ndata: {\"a\":\ndata:1}\n\n\
                          data\n\nevent:session\r\ndata: é\r\n\r\nid\ndata: x\rdata: y\r\revent: lost\n\ndata: cut";

    fn expected() -> Vec<SseEvent> {
        vec![
            event("login", "{\"a\":\n1}", Some("3")),
            event("message", "", Some("3")),
            event("session", "é", Some("3")),
            event("message", "x\ny", Some("")),
        ]
    }

    #[test]
    fn events_come_out_whole_wherever_the_chunks_end() {
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut parser = SseParser::default();
            let events: Vec<_> = bytes.chunks(size).flat_map(|chunk| parser.feed(chunk)).collect();
            assert_eq!(events, expected(), "chunks of {size}");
        }
    }

    #[test]
    fn a_byte_order_mark_inside_the_stream_is_a_character() {
        let mut parser = SseParser::default();
        let found = parser.feed("data: a\n\u{feff}data: b\ndata: \u{feff}c\n\n".as_bytes());
        assert_eq!(found, [event("message", "a\n\u{feff}c", None)]);
    }

    #[test]
    fn what_the_end_cuts_off_is_held_and_never_given() {
        let mut parser = SseParser::default();
        assert_eq!(parser.feed(b"event: login\ndata: {}\n"), []);
        assert!(parser.pending() > 0);
    }
}
